// SPDX-License-Identifier: LGPL-2.1-or-later
// `ashlar policy check` and `ashlar policy hash`.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/format.hpp"
#include "ashlar/cli/policy_files.hpp"
#include "ashlar/policy/cases.hpp"

namespace ashlar::cli {

namespace {

struct Checked {
  std::size_t files = 0;
  std::size_t cases = 0;
  std::optional<policy::Policy> policy;
  std::vector<policy::Finding> findings;

  [[nodiscard]] std::size_t errors() const {
    return static_cast<std::size_t>(
        std::ranges::count(findings, policy::Finding::Severity::error, &policy::Finding::severity));
  }
  [[nodiscard]] std::size_t warnings() const { return findings.size() - errors(); }
};

// The cases beside the policy are checked as well: one that cannot be read tests nothing.
Result<Checked> checked(const std::string& directory) {
  Checked result;
  const auto files = TRY(policy::read_directory(directory));
  const auto case_files = TRY(policy::read_case_files(directory));
  policy::Policy::Load load = policy::Policy::load(files);
  result.files = files.size();
  result.findings = std::move(load.findings);
  result.policy = std::move(load.policy);
  if (!result.policy)
    return result;
  for (const policy::PolicyFile& file : case_files) {
    const policy::Cases read = policy::read_cases(file, *result.policy);
    result.cases += read.cases.size();
    result.findings.insert(result.findings.end(), read.findings.begin(), read.findings.end());
  }
  return result;
}

std::string summary(const Checked& result, const std::string& directory) {
  std::string text = fmt::format("{}: {}", directory, counted(result.files, "file"));
  if (result.policy) {
    const policy::Declared declared = result.policy->declared();
    text += fmt::format(", {}, {}, {}, {}", counted(declared.images.size(), "image"),
                        counted(declared.requesters.size(), "requester"),
                        counted(declared.rules.size(), "rule"), counted(result.cases, "case"));
  }
  text += fmt::format(": {}, {}", counted(result.errors(), "error"),
                      counted(result.warnings(), "warning"));
  return text + (result.policy ? "\n" : "; a builder would not load this policy\n");
}

nlohmann::ordered_json summary_json(const Checked& result, const std::string& directory) {
  nlohmann::ordered_json json = {{"directory", directory},
                                 {"loads", result.policy.has_value()},
                                 {"digest", result.policy ? result.policy->digest() : ""},
                                 {"files", result.files},
                                 {"cases", result.cases},
                                 {"errors", result.errors()},
                                 {"warnings", result.warnings()}};
  json["findings"] = findings_json(result.findings, directory);
  return json;
}

} // namespace

Outcome<Answer> policy_check(const Arguments& arguments) {
  const Checked result = TRY(checked(arguments.directory));
  const bool failed = result.errors() > 0 || (arguments.strict && result.warnings() > 0);
  const std::string text = arguments.json
                               ? json_text(summary_json(result, arguments.directory)) + "\n"
                               : findings_text(result.findings, arguments.directory) +
                                     summary(result, arguments.directory);
  return Answer(text, failed ? ExitCode::failed : ExitCode::ok);
}

Outcome<Answer> policy_hash(const Arguments& arguments) {
  const policy::Policy policy = TRY(load_policy(arguments.directory));
  return Answer(arguments.json ? json_text({{"digest", policy.digest()}}) + "\n"
                               : policy.digest() + "\n");
}

} // namespace ashlar::cli
