// SPDX-License-Identifier: LGPL-2.1-or-later
// Why a command did not do what it was asked, as shown to people, to programs and in the exit code.
#pragma once

#include <expected>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/message.hpp"

namespace ashlar::cli {

enum class ExitCode {
  ok = 0,
  failed = 1,    // the builder, or this machine, could not do it
  usage = 2,     // the command line or the guest file is wrong
  refused = 3,   // the builder's policy says no
  transport = 4, // no connection to the builder, or it broke
};

/// One failed command. An Error becomes "failed" by itself; say usage() or transport() for the
/// others.
struct Problem {
  ExitCode exit = ExitCode::failed;
  std::string code;    // an ErrorCode word; empty for a refusal
  std::string item;    // what was wrong; may be empty, as may the rest
  std::string check;   // which check failed
  std::string limit;   // the limit that was passed, with its unit
  std::string rule;    // of a refusal
  std::string message; // one line with all of it

  Problem() = default;
  Problem(const Error& error); // implicit, so that TRY hands errors on

  [[nodiscard]] static Problem usage(const Error& error);
  [[nodiscard]] static Problem transport(const Error& error);
};

template <typename T>
using Outcome = std::expected<T, Problem>;

/// What a final response other than Done says, if it is one.
[[nodiscard]] std::optional<Problem> problem_of(const ipc::Response& final);

/// One line for stderr: "ashlar: refused: REASON (rule "R")" or "ashlar: MESSAGE". Control
/// characters, and bytes that are no UTF-8, are \xNN.
[[nodiscard]] std::string text_of(const Problem& problem);

/// {"error":{"kind":…,"code":…,"item":…,"check":…,"limit":…,"message":…,"rule":…}}, all strings.
[[nodiscard]] nlohmann::ordered_json json_of(const Problem& problem);

} // namespace ashlar::cli

namespace ashlar::detail {
// What TRY needs for results of this kind.
template <typename T>
T take(std::expected<T, cli::Problem>&& result) {
  return std::move(*result);
}
inline void take(std::expected<void, cli::Problem>&&) {}
} // namespace ashlar::detail
