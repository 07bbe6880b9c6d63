// SPDX-License-Identifier: LGPL-2.1-or-later
// The xenstore nodes that bind a guest's disks and network interfaces to the domains that have
// them: what libxl would write (xen/include/public/io/blkif.h and netif.h; xenstore-paths(7)).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/broker/domain.hpp"
#include "ashlar/xen/store_node.hpp"

namespace ashlar::broker {

/// /local/domain/B/backend/KIND/F: all devices of one kind that B has for F.
[[nodiscard]] std::string backend_home(std::string_view kind, std::uint32_t backend,
                                       std::uint32_t frontend);
/// /local/domain/F/device/KIND
[[nodiscard]] std::string frontend_home(std::string_view kind, std::uint32_t frontend);

/// One device of a guest.
struct Device {
  std::string title;        // "disk xvda", for messages
  std::string backend_name; // as the request has it
  std::string target;       // of a disk
  const char* kind = "";    // "vbd" or "vif"
  std::uint32_t number = 0;
  std::uint32_t frontend = 0; // domids
  std::uint32_t backend = 0;
  using Values = std::vector<std::pair<const char*, std::string>>;
  Values front;
  Values front_of_backend; // in the frontend's directory, for the backend to change
  Values back;

  /// The backend's directory of this device.
  [[nodiscard]] std::string backend_path() const;
  [[nodiscard]] std::string frontend_path() const;
};

/// The devices of a domain whose `backends` are set, the disks first. Errors: internal (its
/// backends are not as many as its devices).
[[nodiscard]] Result<std::vector<Device>> devices_of(const Domain& domain);

/// Both ends' nodes, in state 1 (Initialising), and libxl's own notes of the device, parents first.
/// Each domain owns its end and can read the other's; the builder owns the directories above.
[[nodiscard]] std::vector<xen::StoreNode> device_nodes(const Device& device);

/// The address of a network interface that asks for none: Xen's prefix 00:16:3e and three bytes
/// made from the domain's UUID and the interface's number, so that a guest keeps it when it is
/// built anew. Errors: internal (libcrypto).
[[nodiscard]] Result<std::string> made_up_mac(const measure::Uuid& uuid, std::size_t number);

} // namespace ashlar::broker
