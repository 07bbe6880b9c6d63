// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

namespace ashlar::test {

/// How the built `ashlar` ended, and what it printed on stdout and stderr together.
struct Run {
  int code = -1;
  std::string output;
};

/// Runs it with these arguments (shell words) and no input. `environment` is put before it:
/// "NAME=value ".
[[nodiscard]] Run run_ashlar(const std::string& arguments, const std::string& environment = {});

} // namespace ashlar::test
