// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/policy_files.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ashlar::cli {

namespace {

bool grave(const policy::Finding& finding) {
  return finding.severity == policy::Finding::Severity::error;
}

} // namespace

Outcome<policy::Policy> load_policy(const std::string& directory) {
  policy::Policy::Load load = policy::Policy::load(TRY(policy::read_directory(directory)));
  if (load.policy)
    return std::move(*load.policy);
  const auto first = std::ranges::find_if(load.findings, grave);
  return std::unexpected(
      Problem({ErrorCode::invalid, "loading the policy of " + directory,
               fmt::format("{}; run ashlar policy check {} for all of its findings", first->text(),
                           directory),
               0}));
}

policy::Location located(const policy::Location& where, const std::string& directory) {
  policy::Location place = where;
  const std::string folder = directory.substr(0, directory.find_last_not_of('/') + 1);
  place.file = where.file.empty() ? directory : folder + "/" + where.file;
  return place;
}

std::string findings_text(const std::vector<policy::Finding>& findings,
                          const std::string& directory) {
  std::string text;
  for (policy::Finding finding : findings) {
    finding.where = located(finding.where, directory);
    text += finding.text() + "\n";
  }
  return text;
}

nlohmann::ordered_json findings_json(const std::vector<policy::Finding>& findings,
                                     const std::string& directory) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const policy::Finding& finding : findings) {
    const policy::Location place = located(finding.where, directory);
    list.push_back({{"severity", grave(finding) ? "error" : "warning"},
                    {"file", place.file},
                    {"line", place.line},
                    {"column", place.column},
                    {"message", finding.message}});
  }
  return list;
}

std::string counted(std::size_t number, const std::string& noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

} // namespace ashlar::cli
