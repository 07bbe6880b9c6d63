// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "ashlar/xen/hypervisor.hpp"

struct xen_domctl_getdomaininfo; // xen/domctl.h

namespace ashlar::xen {

/// What XEN_DOMCTL_getdomaininfo says, in our terms. The guest controls the shutdown code in it:
/// one that xen/include/public/sched.h does not name counts as a crash.
[[nodiscard]] DomainStatus status_of(const xen_domctl_getdomaininfo& info);

} // namespace ashlar::xen
