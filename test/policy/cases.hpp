// SPDX-License-Identifier: LGPL-2.1-or-later
// Requests and expected decisions as TOML, for the policy fixtures.
#pragma once

#include <string>
#include <vector>

#include "ashlar/policy/policy.hpp"

namespace ashlar::test {

/// One [[case]]: the request that its keys describe, and `expect`, `rule` and `reason` of the
/// decision.
struct Case {
  std::string where; // file:line:column, for the failure message
  policy::Request request;
  bool allowed = false;
  std::string rule;
  std::string reason;
};

/// Reads all cases. A file that cannot be read, an unknown key or a missing one fails the running
/// test. Digests are written as two digits, which stand for a digest whose bytes are all that
/// value.
[[nodiscard]] std::vector<Case> read_cases(const policy::PolicyFile& file);

} // namespace ashlar::test
