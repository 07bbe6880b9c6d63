// SPDX-License-Identifier: LGPL-2.1-or-later
// The flags that describe a guest.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "ashlar/cli/guest.hpp"

namespace ashlar::cli {

/// The texts behind options whose values need a second look.
struct Texts {
  std::string memory;
  std::string max_memory;
  std::vector<std::string> disks;
  std::vector<std::string> nics;
};

/// `kernel` says what may stand for the kernel.
void add_create_guest(CLI::App* app, Guest& guest, Texts& texts, const char* kernel);
void add_signatures(CLI::App* app, Guest& guest);

/// What the texts mean. Errors: invalid, unsupported, limit, naming the option.
[[nodiscard]] Status read_texts(const Texts& texts, Guest& guest);

} // namespace ashlar::cli
