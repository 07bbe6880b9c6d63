// SPDX-License-Identifier: LGPL-2.1-or-later
#include <unistd.h>

#include <csignal>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/cli/arguments.hpp"
#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/format.hpp"

namespace {

// False when the output could not be written: a full disk must not look like success.
bool print(int descriptor, const std::string& text) {
  return ashlar::write_all(descriptor, ashlar::as_bytes(text), "the output").has_value();
}

int report(const ashlar::cli::Problem& problem, bool json) {
  const std::string text =
      json ? ashlar::cli::json_text(ashlar::cli::json_of(problem)) : ashlar::cli::text_of(problem);
  print(json ? STDOUT_FILENO : STDERR_FILENO, text + "\n");
  return static_cast<int>(problem.exit);
}

} // namespace

int main(int argc, char** argv) {
  using namespace ashlar::cli;
  const auto parsed = parse_arguments(argc, argv);
  if (const auto* exit = std::get_if<ExitRequest>(&parsed)) {
    print(exit->code == 0 || exit->json ? STDOUT_FILENO : STDERR_FILENO, exit->text);
    return exit->code;
  }
  const auto& arguments = *std::get_if<Arguments>(&parsed);
  // A reader of our output that goes away must not kill us before the terminal is restored.
  std::signal(SIGPIPE, SIG_IGN);
  const Outcome<Answer> outcome = run(arguments);
  if (!outcome)
    return report(outcome.error(), arguments.json);
  return static_cast<int>(print(STDOUT_FILENO, outcome->text) ? outcome->exit : ExitCode::failed);
}
