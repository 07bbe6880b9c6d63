// SPDX-License-Identifier: LGPL-2.1-or-later
// The command line of the verbs about evidence.
#pragma once

#include <CLI/CLI.hpp>

#include "ashlar/cli/arguments.hpp"

namespace ashlar::cli {

/// `ashlar verify` and `ashlar explain`.
void add_evidence_verbs(CLI::App& app, Arguments& into);

/// `ashlar measure --manifest`.
void add_manifest_option(CLI::App& measure, Arguments& into);

} // namespace ashlar::cli
