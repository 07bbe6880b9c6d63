// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <vector>

#include "ashlar/broker/services.hpp"

namespace ashlar::broker {

/// Takes in and measures a file of the builder domain, for the requester with `boot = true`.
/// Errors: denied (the policy has no such requester), not_found, io, limit.
[[nodiscard]] Result<UsedImage> take_in_for_boot(Services& services, const std::string& path,
                                                 std::uint64_t limit);

/// Asks the policy, as the peer with `boot = true`, whether the builder may build this domain by
/// itself. Errors: denied, and those of check_limits() and check_room().
[[nodiscard]] Result<Domain> approved_draft(Services& services, const BootDomain& wanted,
                                            const UsedImage& kernel,
                                            const std::vector<UsedImage>& initrds);

/// Starts what the boot manifest lists and does not exist yet, through the steps that every guest
/// goes through: taken in and measured, asked of the policy (as the peer with `boot = true`),
/// built, recorded. The TPM Manager comes first, and the others only when it has acknowledged its
/// own record. An essential domain that cannot be built stops the builder (essential_domain_ended).
void start_boot_domains(Services& services, const std::vector<BootDomain>& domains);

} // namespace ashlar::broker
