// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/device_nodes.hpp"

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/digest.hpp"
#include "xenbus_state.hpp"

namespace ashlar::broker {

namespace {

// What the backend's domain runs when a device comes or goes: always Xen's own, as root there. A
// request that could name another program would be its master.
constexpr const char* disk_script = "/etc/xen/scripts/block";
constexpr const char* nic_script = "/etc/xen/scripts/vif-bridge";
constexpr const char* ethernet_mtu = "1500";
// Linux' frontends then give the backend no page with anything else in it (XSA-403).
constexpr std::pair<const char*, const char*> untrusted_backend = {"trusted", "0"};

Device disk_device(const measure::Disk& disk) {
  Device device;
  device.title = "disk " + disk.vdev;
  device.backend_name = disk.backend;
  device.target = disk.target;
  device.kind = "vbd";
  device.number = measure::vbd_number(disk.vdev).value_or(0);
  device.front = {{"virtual-device", std::to_string(device.number)}, {"device-type", "disk"}};
  device.back = {{"params", disk.target},
                 {"script", disk_script},
                 {"removable", "0"},
                 {"bootable", "1"},
                 {"dev", disk.vdev},
                 {"type", "phy"},
                 {"mode", disk.writable ? "w" : "r"},
                 {"device-type", "disk"},
                 {"discard-enable", disk.writable ? "1" : "0"}};
  return device;
}

Result<Device> nic_device(const measure::Nic& nic, const measure::Uuid& uuid, std::size_t number) {
  const std::string handle = std::to_string(number);
  const std::string mac = nic.mac.empty() ? TRY(made_up_mac(uuid, number)) : nic.mac;
  Device device;
  device.title = "network interface " + handle;
  device.backend_name = nic.backend;
  device.kind = "vif";
  device.number = static_cast<std::uint32_t>(number);
  device.front = {{"handle", handle}, {"mac", mac}};
  device.front_of_backend = {{"mtu", ethernet_mtu}}; // vif-bridge puts the bridge's there
  device.back = {{"script", nic_script}, {"mac", mac},    {"bridge", nic.bridge},
                 {"handle", handle},     {"type", "vif"}, {"hotplug-status", ""}};
  return device;
}

} // namespace

std::string backend_home(std::string_view kind, std::uint32_t backend, std::uint32_t frontend) {
  return fmt::format("/local/domain/{}/backend/{}/{}", backend, kind, frontend);
}

std::string frontend_home(std::string_view kind, std::uint32_t frontend) {
  return fmt::format("/local/domain/{}/device/{}", frontend, kind);
}

std::string Device::backend_path() const {
  return fmt::format("{}/{}", backend_home(kind, backend, frontend), number);
}

std::string Device::frontend_path() const {
  return fmt::format("{}/{}", frontend_home(kind, frontend), number);
}

Result<std::vector<Device>> devices_of(const Domain& domain) {
  const measure::DomainConfiguration& configuration = domain.configuration;
  if (domain.backends.size() != configuration.disks.size() + configuration.nics.size())
    return failure(ErrorCode::internal, "listing the devices of " + domain.name(),
                   fmt::format("it has {} backends for {} disks and {} network interfaces",
                               domain.backends.size(), configuration.disks.size(),
                               configuration.nics.size()));
  std::vector<Device> devices;
  for (const measure::Disk& disk : configuration.disks)
    devices.push_back(disk_device(disk));
  for (std::size_t i = 0; i < configuration.nics.size(); ++i)
    devices.push_back(TRY(nic_device(configuration.nics[i], domain.uuid(), i)));
  for (std::size_t i = 0; i < devices.size(); ++i) {
    devices[i].frontend = domain.domid();
    devices[i].backend = domain.backends[i];
  }
  return devices;
}

std::vector<xen::StoreNode> device_nodes(const Device& device) {
  const std::string front = device.frontend_path();
  const std::string back = device.backend_path();
  const std::string backends = fmt::format("/local/domain/{}/backend", device.backend);
  const std::string libxl = fmt::format("/libxl/{}/device", device.frontend);
  const std::string note = fmt::format("{}/{}/{}", libxl, device.kind, device.number);
  const xen::Permission ours{.owner = builder_domid, .reader = {}};
  const xen::Permission seen_by_backend{.owner = builder_domid, .reader = device.backend};
  const xen::Permission seen_by_frontend{.owner = builder_domid, .reader = device.frontend};

  std::vector<xen::StoreNode> nodes = {
      {backends, "", seen_by_backend},
      {fmt::format("{}/{}", backends, device.kind), "", seen_by_backend},
      {backend_home(device.kind, device.backend, device.frontend), "", seen_by_backend},
      {back, "", xen::Permission{.owner = device.backend, .reader = device.frontend}},
      {frontend_home(device.kind, device.frontend), "", seen_by_frontend},
      {front, "", xen::Permission{.owner = device.frontend, .reader = device.backend}},
      {note, "", ours},
  };
  const auto add = [&nodes](const std::string& home, const char* name, const std::string& value) {
    nodes.push_back({home + "/" + name, value, {}});
  };
  // libxl reads its own copy of the backend's nodes, which the backend cannot change.
  for (const std::string& home : {back, note}) {
    add(home, "frontend", front);
    add(home, "frontend-id", std::to_string(device.frontend));
    add(home, "online", "1");
    add(home, "state", xenbus::initialising);
    for (const auto& [name, value] : device.back)
      add(home, name, value);
  }
  add(note, "backend", back);
  add(front, "backend", back);
  add(front, "backend-id", std::to_string(device.backend));
  add(front, "state", xenbus::initialising);
  add(front, untrusted_backend.first, untrusted_backend.second);
  for (const auto& [name, value] : device.front)
    add(front, name, value);
  const xen::Permission backends_own{.owner = device.backend, .reader = device.frontend};
  for (const auto& [name, value] : device.front_of_backend)
    nodes.push_back({front + "/" + name, value, backends_own});
  return nodes;
}

Result<std::string> made_up_mac(const measure::Uuid& uuid, std::size_t number) {
  std::vector<std::byte> source(uuid.begin(), uuid.end());
  source.push_back(static_cast<std::byte>(number));
  const measure::Digests digests = TRY(measure::digest(source));
  const auto byte = [&digests](std::size_t i) {
    return std::to_integer<unsigned>(digests.sha256[i]);
  };
  // The last three bytes of Xen's range; libxl leaves the upper half to others, too.
  return fmt::format("00:16:3e:{:02x}:{:02x}:{:02x}", byte(0) & 0x7f, byte(1), byte(2));
}

} // namespace ashlar::broker
