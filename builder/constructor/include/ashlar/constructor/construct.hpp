// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <span>

#include "ashlar/base/result.hpp"
#include "ashlar/constructor/domain_guard.hpp"
#include "ashlar/constructor/plan.hpp"

namespace ashlar::constructor {

/// Builds the planned domain and leaves it paused, introduced to xenstored, in the hands of the
/// guard given back: the caller commits it. `kernel` is a plain ELF, `initrds` are in load order;
/// both are mapped sealed memory. On an error the domain and its xenstore nodes are gone again;
/// when even that failed, the Error says so.
[[nodiscard]] Result<DomainGuard> construct(xen::Control& control, xen::StoreConnection& store,
                                            const Plan& plan, std::span<const std::byte> kernel,
                                            std::span<const std::span<const std::byte>> initrds);

} // namespace ashlar::constructor
