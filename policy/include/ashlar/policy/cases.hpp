// SPDX-License-Identifier: LGPL-2.1-or-later
// Requests with the decision that a policy is expected to give: an admin's tests of a policy, kept
// beside it in *.cases.toml. docs/policy.md has the keys.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/policy/policy.hpp"
#include "ashlar/policy/request.hpp"

namespace ashlar::policy {

/// How the names of cases files end. read_directory() leaves them out: they decide nothing.
inline constexpr std::string_view cases_suffix = ".cases.toml";

/// One [[case]].
struct Case {
  Location where;
  std::string title; // what it is about; empty: it has none
  Request request;
  bool allowed = false;              // the expected decision
  std::string rule;                  // that is to decide; empty: no rule is to match
  std::optional<std::string> reason; // expected word for word; absent: any
};

/// What was read from cases files. The cases are all that are without an error.
struct Cases {
  std::vector<Case> cases;
  std::vector<Finding> findings;
};

/// Reads the cases of one file. The names of requesters and images in it are those of `policy`.
/// Never fails otherwise than through findings; a file without a case is an error, since it would
/// look like a test that passed.
[[nodiscard]] Cases read_cases(const PolicyFile& file, const Policy& policy);

/// What is different about `decision` from what the case expects, each as a phrase; none: it
/// passes.
[[nodiscard]] std::vector<std::string> differences(const Case& expected, const Decision& decision);

/// Reads all *.cases.toml files of a directory (hidden ones excepted) in the byte order of their
/// names; there may be none. Errors and limits as for read_directory().
[[nodiscard]] Result<std::vector<PolicyFile>> read_case_files(const std::string& path);

} // namespace ashlar::policy
