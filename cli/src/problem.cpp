// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace ashlar::cli {

namespace {

const char* kind_of(ExitCode exit) {
  switch (exit) {
  case ExitCode::ok:
    return "ok";
  case ExitCode::failed:
    return "failed";
  case ExitCode::usage:
    return "usage";
  case ExitCode::refused:
    return "refused";
  case ExitCode::transport:
    return "transport";
  }
  return "failed";
}

Problem of_failure(const ashlar_v1_Failure& failure) {
  Problem problem;
  problem.code = failure.code;
  problem.item = failure.item;
  problem.check = failure.check;
  problem.limit = failure.limit;
  problem.message = failure.message;
  if (problem.message.empty())
    problem.message = fmt::format("the builder failed: {} {}", problem.item, problem.check);
  return problem;
}

Problem of_refusal(const ashlar_v1_Refusal& refusal) {
  Problem problem;
  problem.exit = ExitCode::refused;
  problem.message = refusal.reason;
  problem.rule = refusal.rule;
  return problem;
}

// How many bytes at the start of a text are one character that no terminal takes for a command;
// 0: the first byte is none.
std::size_t harmless_bytes(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80)
    return lead >= ' ' && lead != 0x7f ? 1 : 0;
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size)
    return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xc0) != 0x80)
      return 0;
  return lead == 0xc2 && byte(1) < 0xa0 ? 0 : size; // U+0080 to U+009F are controls, too
}

// Names of files and words of a policy may hold anything; UTF-8 stays.
std::string for_terminal(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = harmless_bytes(text);
    if (size == 0)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    out += text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

} // namespace

Problem::Problem(const Error& error)
    : code(to_string(error.code)), item(error.doing), check(error.why), limit(error.limit),
      message(error.message()) {}

Problem Problem::usage(const Error& error) {
  Problem problem(error);
  problem.exit = ExitCode::usage;
  return problem;
}

Problem Problem::transport(const Error& error) {
  Problem problem(error);
  problem.exit = ExitCode::transport;
  return problem;
}

std::optional<Problem> problem_of(const ipc::Response& final) {
  switch (final.which_part) {
  case ashlar_v1_Response_done_tag:
    return std::nullopt;
  case ashlar_v1_Response_failure_tag:
    return of_failure(final.part.failure);
  case ashlar_v1_Response_refusal_tag:
    return of_refusal(final.part.refusal);
  default:
    return Problem::transport({ErrorCode::invalid, "reading the builder's answer",
                               "it ends with a response that does not fit the request", 0});
  }
}

std::string text_of(const Problem& problem) {
  const std::string message = for_terminal(problem.message);
  if (problem.exit != ExitCode::refused)
    return "ashlar: " + message;
  if (problem.rule.empty())
    return fmt::format("ashlar: refused: {} (no rule allows it)", message);
  return fmt::format("ashlar: refused: {} (rule \"{}\")", message, for_terminal(problem.rule));
}

nlohmann::ordered_json json_of(const Problem& problem) {
  return {{"error",
           {{"kind", kind_of(problem.exit)},
            {"code", problem.code},
            {"item", problem.item},
            {"check", problem.check},
            {"limit", problem.limit},
            {"message", problem.message},
            {"rule", problem.rule}}}};
}

} // namespace ashlar::cli
