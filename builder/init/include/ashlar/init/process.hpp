// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::init {

/// How to start a program.
struct Program {
  std::vector<std::string> arguments; // the first is the program's absolute path
  std::vector<std::string>
      environment;              // NAME=VALUE; LISTEN_PID is added where descriptors are passed
  std::vector<int> descriptors; // become 3, 4, … in the program; it has no others above 2
  std::string terminal;         // a tty for its standard streams, as session leader; or empty
};

/// Starts it with standard input from /dev/null, and output to init's console unless it has a
/// terminal. Gives its pid. Errors: io. That the program cannot be executed shows as exit status
/// 127.
[[nodiscard]] Result<pid_t> start(const Program& program);

} // namespace ashlar::init
