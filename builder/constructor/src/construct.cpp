// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/constructor/construct.hpp"

#include <charconv>
#include <string>

#include <fmt/format.h>

#include "ashlar/constructor/initrd_module.hpp"
#include "ashlar/constructor/store_nodes.hpp"
#include "image.hpp"
#include "new_domain.hpp"

namespace ashlar::constructor {

namespace {

/// The number of the domain that this runs in. xenstored takes the relative path as our own; domain
/// 0 has no such node on some hosts.
Result<std::uint32_t> own_domid(xen::StoreConnection& store) {
  auto text = store.read("domid");
  if (!text && text.error().code == ErrorCode::not_found)
    return 0;
  const std::string digits = TRY(std::move(text));
  std::uint32_t domid = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), domid);
  if (error != std::errc() || end != digits.data() + digits.size())
    return failure(ErrorCode::invalid, "reading this domain's own number from xenstore",
                   fmt::format("its node holds \"{}\"", digits));
  return domid;
}

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
          TRY(store.write(node.path, node.value, node.permission));
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
  const std::uint32_t builder = TRY(own_domid(store));
  TRY(write_nodes(store, store_nodes(plan, domid, builder, store_ring, console_ring), domid,
                  plan.uuid));
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
