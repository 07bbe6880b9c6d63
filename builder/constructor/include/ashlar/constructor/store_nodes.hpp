// SPDX-License-Identifier: LGPL-2.1-or-later
// The xenstore nodes of a new domain.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/constructor/plan.hpp"
#include "ashlar/xen/store_node.hpp"

namespace ashlar::constructor {

/// A page that the guest shares with a service in another domain, and the event channel beside it.
struct Ring {
  std::uint64_t page = 0; // MFN of a PV guest's page, PFN of a translated guest's
  std::uint32_t port = 0; // event channel port in the guest
};

/// The nodes that libxl 4.17 writes for a domain of this kind (docs/misc/xenstore-paths.pandoc of
/// Xen says what each means), for a transaction that writes them in this order: between, nodes have
/// permissions that nobody may see. In the end the guest can read its own, and write only those
/// that it is to answer in; the builder's domain owns the rest. Pure: the plan must have been
/// checked.
[[nodiscard]] std::vector<xen::StoreNode> store_nodes(const Plan& plan, std::uint32_t domid,
                                                      const Ring& store, const Ring& console);

} // namespace ashlar::constructor
