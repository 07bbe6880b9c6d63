// SPDX-License-Identifier: LGPL-2.1-or-later
// `ashlar policy test`.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/format.hpp"
#include "ashlar/cli/policy_files.hpp"
#include "ashlar/policy/cases.hpp"

namespace ashlar::cli {

namespace {

/// One case that was run, or a finding of its file, which is as good as a case that failed.
struct Run {
  policy::Location where;
  std::string title;
  std::vector<std::string> differences;
};

std::string title_of(const policy::Case& one) {
  if (!one.title.empty())
    return one.title;
  return fmt::format("{}: {}", policy::to_string(one.request.verb),
                     one.allowed ? "allow by rule \"" + one.rule + "\"" : "deny");
}

std::vector<Run> run_cases(const policy::Policy& policy,
                           const std::vector<policy::PolicyFile>& files,
                           const std::string& directory) {
  std::vector<Run> runs;
  for (const policy::PolicyFile& file : files) {
    const policy::Cases read = policy::read_cases(file, policy);
    for (const policy::Finding& finding : read.findings)
      runs.push_back({located(finding.where, directory), "not readable", {finding.message}});
    for (const policy::Case& one : read.cases)
      runs.push_back({located(one.where, directory), title_of(one),
                      policy::differences(one, policy.decide(one.request))});
  }
  return runs;
}

std::string text_of(const std::vector<Run>& runs, std::size_t failed) {
  std::string text;
  for (const Run& run : runs)
    text += run.differences.empty() ? fmt::format("ok    {}: {}\n", run.where.text(), run.title)
                                    : fmt::format("FAIL  {}: {}: {}\n", run.where.text(), run.title,
                                                  fmt::join(run.differences, "; "));
  return text + fmt::format("{}: {} ok, {} failed\n", counted(runs.size(), "case"),
                            runs.size() - failed, failed);
}

nlohmann::ordered_json json_of(const std::vector<Run>& runs, std::size_t failed) {
  nlohmann::ordered_json cases = nlohmann::ordered_json::array();
  for (const Run& run : runs)
    cases.push_back({{"file", run.where.file},
                     {"line", run.where.line},
                     {"title", run.title},
                     {"ok", run.differences.empty()},
                     {"differences", run.differences}});
  return {{"cases", cases}, {"ok", runs.size() - failed}, {"failed", failed}};
}

} // namespace

Outcome<Answer> policy_test(const Arguments& arguments) {
  const std::string& directory = arguments.directory;
  const policy::Policy policy = TRY(load_policy(directory));
  const auto files = TRY(policy::read_case_files(directory));
  // No test must not look like a test that passed.
  if (files.empty())
    return std::unexpected(Problem(
        {ErrorCode::not_found, "testing the policy of " + directory,
         "there is no *.cases.toml beside it: write at least one case (ashlar-policy(5))", 0}));
  const std::vector<Run> runs = run_cases(policy, files, directory);
  std::size_t failed = 0;
  for (const Run& run : runs)
    failed += run.differences.empty() ? 0 : 1;
  return Answer(arguments.json ? json_text(json_of(runs, failed)) + "\n" : text_of(runs, failed),
                failed == 0 ? ExitCode::ok : ExitCode::failed);
}

} // namespace ashlar::cli
