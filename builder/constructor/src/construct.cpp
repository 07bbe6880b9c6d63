// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/constructor/construct.hpp"

#include <string>

#include <fmt/format.h>

#include "ashlar/constructor/initrd_module.hpp"
#include "ashlar/constructor/store_nodes.hpp"
#include "image.hpp"
#include "new_domain.hpp"

namespace ashlar::constructor {

namespace {

Status write_nodes(xen::StoreConnection& store, const std::vector<xen::StoreNode>& nodes,
                   std::uint32_t domid, const measure::Uuid& uuid) {
  return store.in_transaction(
      fmt::format("writing the nodes of domain {}", domid), [&]() -> Status {
        // What an earlier domain of this number left behind would be read as this one's.
        for (const std::string& stale :
             {fmt::format("/local/domain/{}", domid), "/vm/" + measure::to_string(uuid),
              fmt::format("/libxl/{}", domid)})
          TRY(store.remove(stale));
        for (const xen::StoreNode& node : nodes)
          TRY(store.write(node));
        return {};
      });
}

Status build(xen::Control& control, xen::StoreConnection& store, const Plan& plan,
             std::uint32_t domid, const Payload& payload) {
  TRY(set_up_domain(control, plan, domid));
  Channels channels;
  channels.store = TRY(allocate_channel(control, domid, plan.xenstore_domid, "xenstored"));
  channels.console = TRY(allocate_channel(control, domid, plan.console_domid, "xenconsoled"));
  const RingPages pages = TRY(build_image(control, plan, domid, payload, channels));
  const Ring store_ring{.page = pages.store, .port = channels.store};
  const Ring console_ring{.page = pages.console, .port = channels.console};
  TRY(write_nodes(store, store_nodes(plan, domid, store_ring, console_ring), domid, plan.uuid));
  return store.introduce(domid, store_ring.page, store_ring.port);
}

} // namespace

Result<DomainGuard> construct(xen::Control& control, xen::StoreConnection& store, const Plan& plan,
                              std::span<const std::byte> kernel,
                              std::span<const std::span<const std::byte>> initrds) {
  const InitrdModule initrd = initrd_module(initrds);
  const std::uint32_t domid = TRY(create_domain(control, plan));
  DomainGuard guard(control, store, domid, plan.uuid);
  const Status built =
      build(control, store, plan, domid, {.kernel = kernel, .initrd = initrd.bytes()});
  if (built)
    return guard;
  Error error = built.error();
  if (const Status undone = guard.undo(); !undone)
    error.why += fmt::format("{}the half-built domain {} could not be removed: {}",
                             error.why.empty() ? "" : "; ", domid, undone.error().message());
  return std::unexpected(std::move(error));
}

} // namespace ashlar::constructor
