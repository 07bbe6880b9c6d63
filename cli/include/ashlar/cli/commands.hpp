// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "ashlar/cli/arguments.hpp"
#include "ashlar/cli/problem.hpp"
#include "ashlar/cli/progress.hpp"
#include "ashlar/cli/session.hpp"

namespace ashlar::cli {

/// Does what the arguments say and gives what is to be printed on stdout (console output excepted,
/// which is written as it comes).
[[nodiscard]] Outcome<std::string> run(const Arguments& arguments);

/// `ashlar create`: hashes the images, asks, uploads what the builder lacks, asks again.
[[nodiscard]] Outcome<std::string> create(const Arguments& arguments);

/// `ashlar console`: passes the terminal through until Ctrl-], or prints past output with --tail.
[[nodiscard]] Outcome<std::string> console(const Arguments& arguments, Session& session);

} // namespace ashlar::cli
