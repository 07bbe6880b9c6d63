// SPDX-License-Identifier: LGPL-2.1-or-later
// The empty domain: created, with its limits and processors, before anything is loaded.
#pragma once

#include <cstdint>

#include "ashlar/base/result.hpp"
#include "ashlar/constructor/plan.hpp"
#include "ashlar/xen/control.hpp"

namespace ashlar::constructor {

/// Creates the domain with the plan's UUID and gives its domid. Errors: unsupported (the machine
/// cannot run this type), denied, io.
[[nodiscard]] Result<std::uint32_t> create_domain(xen::Control& control, const Plan& plan);

/// Sets vCPUs, memory limits, clock and the CPU features that the guest sees.
[[nodiscard]] Status set_up_domain(xen::Control& control, const Plan& plan, std::uint32_t domid);

/// An unbound event channel of the new domain for the service in domain `remote`.
[[nodiscard]] Result<std::uint32_t> allocate_channel(xen::Control& control, std::uint32_t domid,
                                                     std::uint32_t remote, const char* service);

} // namespace ashlar::constructor
