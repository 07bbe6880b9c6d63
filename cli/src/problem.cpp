// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/problem.hpp"

#include <fmt/format.h>

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
  if (problem.exit != ExitCode::refused)
    return "ashlar: " + problem.message;
  if (problem.rule.empty())
    return fmt::format("ashlar: refused: {} (no rule allows it)", problem.message);
  return fmt::format("ashlar: refused: {} (rule \"{}\")", problem.message, problem.rule);
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
