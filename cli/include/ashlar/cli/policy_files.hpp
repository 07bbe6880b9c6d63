// SPDX-License-Identifier: LGPL-2.1-or-later
// Policy files as an admin edits them: read and judged on any machine, without a builder.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ashlar/cli/problem.hpp"
#include "ashlar/policy/policy.hpp"

namespace ashlar::cli {

/// Reads the policy of a directory. Problems: failed, when it cannot be read, or has an error:
/// then with the first one and what to run for all.
[[nodiscard]] Outcome<policy::Policy> load_policy(const std::string& directory);

/// A place in a file of `directory` as a path that an editor can open: "policy.d/a.toml:3:1".
[[nodiscard]] policy::Location located(const policy::Location& where, const std::string& directory);

/// One line a finding, as located() names its place.
[[nodiscard]] std::string findings_text(const std::vector<policy::Finding>& findings,
                                        const std::string& directory);
/// [{"severity","file","line","column","message"}]
[[nodiscard]] nlohmann::ordered_json findings_json(const std::vector<policy::Finding>& findings,
                                                   const std::string& directory);

/// "1 rule", "2 rules".
[[nodiscard]] std::string counted(std::size_t number, const std::string& noun);

} // namespace ashlar::cli
