// SPDX-License-Identifier: LGPL-2.1-or-later
// From a create request to an approved draft: limits, policy, quotas, names. No Xen, no parsing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/broker/services.hpp"
#include "ashlar/policy/policy.hpp"

namespace ashlar::broker {

/// What a requester asks to be built; images are still claims.
struct GuestRequest {
  policy::Peer peer;
  measure::DomainConfiguration configuration;
  std::optional<measure::Uuid> uuid; // none: a random one
  bool uuid_given = false;           // it is the requester's choice, not that of an earlier build
  std::string command_line;
  UsedImage
      kernel; // sha256 and size as claimed; `image` set if the builder holds it for the requester
  std::vector<UsedImage> initrds;
  bool leave_paused = false;
};

/// Checks the limits that hold for every request, whatever the policy says. Errors: invalid, limit.
[[nodiscard]] Status check_limits(const GuestRequest& request);

/// Asks the policy with the facts at hand: digests of held images, claims for the others, and who
/// has signed them as far as that was looked at under this policy.
[[nodiscard]] policy::Decision decide_create(const policy::Policy& policy,
                                             const GuestRequest& request);

/// Did a signature come with the request that was not verified under this policy? A wrong one is
/// refused even where no rule asks for it.
[[nodiscard]] bool brings_unverified(const policy::Policy& policy, const GuestRequest& request);

/// Whether looking at the request's signatures can lead to anything: no policy without certificates
/// has a process parse what a requester sends. Errors: denied.
[[nodiscard]] Status check_somebody_may_sign(const policy::Policy& policy,
                                             const GuestRequest& request);

/// What is left to decide of a request whose answer depends on signatures, or that brings some.
[[nodiscard]] OpenDecision open_decision(std::shared_ptr<const policy::Policy> policy,
                                         std::function<void(const policy::Decision&)> refused);

/// Checks name, UUID, the devices' backends, quota and free memory. Errors: exists, not_found,
/// limit, busy.
[[nodiscard]] Status check_room(Services& services, const policy::Policy& policy,
                                const std::string& requester, const GuestRequest& request);

/// The draft of a request that passed all of these, every image held.
[[nodiscard]] Result<Domain> make_draft(const GuestRequest& request, const policy::Policy& policy,
                                        const policy::Decision& decision);

/// A request that repeats an existing domain's, for a restart of its guest: same images, same UUID.
[[nodiscard]] GuestRequest repeat_request(const Domain& domain);

} // namespace ashlar::broker
