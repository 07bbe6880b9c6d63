// SPDX-License-Identifier: LGPL-2.1-or-later
// One rule against one request, condition by condition.
#pragma once

#include <string>
#include <vector>

#include "model.hpp"

namespace ashlar::policy {

/// How a request fared against a rule. The rule matches when nothing failed or is unverified.
struct Match {
  bool for_requester = false;
  bool for_verb = false;
  /// An image that the rule may know by its signer, while not all of its signers are among the
  /// facts: neither satisfied nor failed. "the kernel", "initrd 2"; empty: none.
  std::string unverified;
  bool kernel_open = false;        // the kernel is such an image
  unsigned satisfied = 0;          // conditions that hold, requester and verb among them
  std::vector<std::string> failed; // each completes "the rule would match, but …"
};

/// Evaluates all conditions of `rule`: those of its tables only if requester and verb match. In an
/// allow rule a list holds when everything in the request is in it; in a deny rule when anything
/// is.
[[nodiscard]] Match evaluate(const Model& model, const Rule& rule, std::string_view requester,
                             const Request& request);

/// Is the digest one of those of the named images?
[[nodiscard]] bool digest_among(const Model& model, const Choice& choice,
                                const measure::Sha256& digest);

/// The space-separated parameters of a kernel command line. Nothing, if the guest's kernel could
/// split it at other places than this function: quotes, and bytes outside printable ASCII (Linux
/// takes tabs, line ends and 0xA0 for spaces).
[[nodiscard]] std::optional<std::vector<std::string_view>>
split_command_line(std::string_view command_line);

} // namespace ashlar::policy
