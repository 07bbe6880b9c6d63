// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::init {

/// One line of the module list: the path of an uncompressed .ko file, then its parameters.
struct Module {
  std::string path;
  std::string parameters; // as finit_module(2) takes them; may be empty
};

/// Reads a module list: one module a line, in load order; empty lines and lines that start with '#'
/// are skipped.
[[nodiscard]] std::vector<Module> parse_module_list(std::string_view text);

/// Loads the modules that the list file `path` names. One that is loaded already is fine.
/// Errors: not_found, io (the kernel refused it).
[[nodiscard]] Status load_modules(const std::string& path);

} // namespace ashlar::init
