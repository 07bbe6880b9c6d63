// SPDX-License-Identifier: LGPL-2.1-or-later
// The command line of the verbs about the policy.
#pragma once

#include <CLI/CLI.hpp>

#include "ashlar/cli/arguments.hpp"
#include "ashlar/cli/arguments_guest.hpp"

namespace ashlar::cli {

/// `ashlar policy` and its verbs.
void add_policy(CLI::App& app, Arguments& into, Texts& texts);

} // namespace ashlar::cli
