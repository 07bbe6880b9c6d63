// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "ashlar/broker/builds.hpp"
#include "ashlar/broker/domains.hpp"
#include "ashlar/broker/event_loop.hpp"
#include "ashlar/broker/fd_store.hpp"
#include "ashlar/broker/image_store.hpp"
#include "ashlar/broker/journal.hpp"
#include "ashlar/broker/policy_holder.hpp"
#include "ashlar/broker/settings.hpp"
#include "ashlar/xen/hypervisor.hpp"
#include "ashlar/xen/store.hpp"

namespace ashlar::broker {

/// The engine's parts, as sessions and the lifecycle use them. Owned by whoever wires them
/// together; all outlive every user.
struct Services {
  EventLoop& loop;
  const Settings& settings;
  xen::Hypervisor& hypervisor;
  xen::Store& store;
  Journal& journal;
  PolicyHolder& policy;
  ImageStore& images;
  FdStore& fd_store;
  Domains& domains;
  Inspections& inspections;
  Builds& builds;
  TpmManager& manager;
};

/// Puts a received image into the store, and makes it survive a restart: the supervisor gets the
/// descriptor, the journal the holder. Errors: io.
[[nodiscard]] Result<ImageHandle> keep_image(Services& services, const std::string& requester,
                                             const measure::Digests& digests, std::uint64_t size,
                                             UniqueFd file);

/// Tells the journal and the supervisor of images that the store has dropped since.
void forget_dropped_images(Services& services);

} // namespace ashlar::broker
