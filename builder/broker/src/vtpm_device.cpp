// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/vtpm_device.hpp"

#include <fmt/format.h>

#include "ashlar/broker/device_nodes.hpp"
#include "ashlar/broker/domain.hpp"
#include "ashlar/broker/services.hpp"
#include "xenbus_state.hpp"

namespace ashlar::broker {

Status write_vtpm_device(xen::Store& store, const VtpmDevice& device) {
  const std::string uuid = measure::to_string(device.uuid);
  const std::string front_home = frontend_home(device.kind, device.frontend);
  const std::string front = front_home + "/0";
  const std::string back_home = backend_home(device.kind, device.backend, device.frontend);
  const std::string back = back_home + "/0";
  const xen::Permission seen_by_backend{.owner = builder_domid, .reader = device.backend};
  const xen::Permission seen_by_frontend{.owner = builder_domid, .reader = device.frontend};

  const std::string backends = fmt::format("/local/domain/{}/backend", device.backend);
  std::vector<xen::StoreNode> nodes = {
      {backends, "", seen_by_backend},
      {fmt::format("{}/{}", backends, device.kind), "", seen_by_backend},
      {back_home, "", seen_by_backend},
      {back, "", xen::Permission{.owner = device.backend, .reader = device.frontend}},
      {back + "/frontend", front, {}},
      {back + "/frontend-id", std::to_string(device.frontend), {}},
      {back + "/handle", "0", {}},
      {back + "/online", "1", {}},
      {back + "/uuid", uuid, {}},
      {back + "/state", xenbus::initialising, {}},
  };
  if (device.kind == device_vtpm_state) {
    const bool guest = !device.requester.empty();
    nodes.push_back({back + "/owner", guest ? "guest" : "tpm-manager", {}});
    if (guest)
      nodes.push_back({back + "/requester", device.requester, {}});
  }
  TRY(store.replace(back_home, nodes));

  nodes = {
      {front_home, "", seen_by_frontend},
      {front, "", xen::Permission{.owner = device.frontend, .reader = device.backend}},
      {front + "/backend", back, {}},
      {front + "/backend-id", std::to_string(device.backend), {}},
      {front + "/handle", "0", {}},
      {front + "/state", xenbus::initialising, {}},
  };
  if (device.version != measure::Vtpm::none)
    nodes.push_back({front + "/version", measure::to_string(device.version), {}});
  return store.replace(front_home, nodes);
}

Status offer_key_store(Services& services) {
  const Domain* manager = services.domains.find_tpm_manager();
  const Domain* keeper = services.domains.find_vtpm_state_store();
  if (!manager || !keeper)
    return {};
  const VtpmDevice device{.kind = device_vtpm_state,
                          .frontend = manager->domid(),
                          .backend = keeper->domid(),
                          .uuid = manager->uuid()};
  const std::string backend = backend_home(device.kind, device.backend, device.frontend) + "/0";
  const Result<std::string> present =
      services.store.read(frontend_home(device.kind, device.frontend) + "/0/backend");
  if (present && *present == backend)
    return {}; // it may be in use
  return write_vtpm_device(services.store, device);
}

} // namespace ashlar::broker
