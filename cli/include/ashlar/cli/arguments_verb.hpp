// SPDX-License-Identifier: LGPL-2.1-or-later
// Adding a verb to the command line.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "ashlar/cli/arguments.hpp"

namespace ashlar::cli {

inline CLI::App* add_verb(CLI::App& parent, const char* name, const char* description,
                          const char* example) {
  CLI::App* const verb = parent.add_subcommand(name, description);
  verb->footer(std::string("Example: ") + example);
  verb->fallthrough(); // --json and the like may stand behind the verb
  return verb;
}

inline void on_selected(CLI::App* app, Arguments& into, Verb verb) {
  app->callback([&into, verb] { into.verb = verb; });
}

} // namespace ashlar::cli
