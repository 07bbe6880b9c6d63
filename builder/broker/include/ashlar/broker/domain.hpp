// SPDX-License-Identifier: LGPL-2.1-or-later
// What the broker knows of a domain that it built.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/broker/image_store.hpp"
#include "ashlar/measure/record.hpp"
#include "ashlar/policy/request.hpp"

namespace ashlar::broker {

/// An image as a domain was built from it. Outlives the bytes: `image` is empty once a restarted
/// builder could not get them back from its supervisor.
struct UsedImage {
  std::string label; // the requester's name for it
  std::uint64_t size = 0;
  measure::Digests digests;
  ImageHandle image;
};

/// One incarnation of one domain. All but the image handles is kept in the journal.
struct Domain {
  measure::Record record; // has the serial, domid, UUID and requester
  measure::DomainConfiguration configuration;
  std::string command_line;
  UsedImage kernel;
  std::vector<UsedImage> initrds;
  policy::Peer peer;         // who asked: a restart of the guest is decided for the same peer
  std::string rule;          // of the policy, that allowed it
  std::string policy_digest; // 64 hexadecimal digits
  std::uint64_t started_unix = 0;
  bool leave_paused = false; // the requester asked for it
  bool requester = false;    // boot manifest: may connect by vchan
  bool essential = false;    // boot manifest: the machine is done when this ends

  [[nodiscard]] std::uint32_t domid() const { return record.domid; }
  [[nodiscard]] const measure::Uuid& uuid() const { return record.uuid; }
  [[nodiscard]] const std::string& name() const { return configuration.name; }
};

} // namespace ashlar::broker
