// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <vector>

#include "ashlar/broker/services.hpp"

namespace ashlar::broker {

/// Starts what the boot manifest lists and does not exist yet, through the steps that every guest
/// goes through: taken in and measured, asked of the policy (as the peer with `boot = true`),
/// built, recorded. An essential domain that cannot be built stops the builder
/// (essential_domain_ended).
void start_boot_domains(Services& services, const std::vector<BootDomain>& domains);

} // namespace ashlar::broker
