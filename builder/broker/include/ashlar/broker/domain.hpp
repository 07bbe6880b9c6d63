// SPDX-License-Identifier: LGPL-2.1-or-later
// What the broker knows of a domain that it built.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/broker/image_store.hpp"
#include "ashlar/constructor/plan.hpp"
#include "ashlar/measure/pcr_profile.hpp"
#include "ashlar/measure/record.hpp"
#include "ashlar/policy/request.hpp"

namespace ashlar::broker {

/// On stock Xen only domain 0 may build domains.
inline constexpr std::uint32_t builder_domid = 0;

/// An image as a domain was built from it. Outlives the bytes: `image` is empty once a restarted
/// builder could not get them back from its supervisor.
struct UsedImage {
  std::string label; // the requester's name for it
  std::uint64_t size = 0;
  measure::Digests digests;
  ImageHandle image;
  /// Detached, over these bytes: as it came with the request. Empty: none came.
  std::vector<std::byte> signature = {};
  std::optional<VerifiedSigners> brought = {}; // who made it; set once it is verified

  /// A signature came, and was not verified under the policy with this digest.
  [[nodiscard]] bool unverified(const std::string& policy_digest) const {
    return !signature.empty() && (!brought || brought->policy_digest != policy_digest);
  }
};

/// One incarnation of one domain. All but the image handles is kept in the journal.
struct Domain {
  measure::Record record; // has the serial, domid, UUID and requester
  measure::DomainConfiguration configuration;
  std::string command_line;
  UsedImage kernel;
  std::vector<UsedImage> initrds;
  policy::Peer peer;              // who asked: a restart of the guest is decided for the same peer
  std::string rule;               // of the policy, that allowed it
  std::string policy_digest;      // 64 hexadecimal digits
  std::uint64_t started_unix = 0; // for people: the clock behind it may be set
  /// Likewise, by a clock that never goes back. Long ago for one that was taken over after a
  /// restart of the builder; not kept in the journal.
  std::chrono::steady_clock::time_point started = {};
  bool leave_paused = false;     // the requester asked for it
  bool requester = false;        // boot manifest: may connect by vchan
  bool essential = false;        // boot manifest: the machine is done when this ends
  bool tpm_manager = false;      // boot manifest: keeps the records of all others
  bool vtpm_state_store = false; // boot manifest: keeps the vTPMs' states
  bool uuid_given = false;       // the UUID is the request's own: a vTPM keeps its state under it
  std::vector<std::uint32_t> backends; // domids: of the disks, then of the network interfaces
  std::vector<constructor::IoPages> io_pages;   // boot manifest: of the device that it drives
  std::optional<measure::Profile> vtpm_profile; // the policy's; there if it has a vTPM
  std::uint64_t vtpm_of = 0; // the serial of the guest whose vTPM this domain is; 0: it is none
  /// Its record is where it belongs: with the TPM Manager, and in its vTPM. Before that it is never
  /// unpaused.
  bool admitted = false;

  /// One of the builder's own: it never moves to another machine, and its Linux reads time through
  /// Xen.
  [[nodiscard]] bool service() const {
    return requester || tpm_manager || vtpm_state_store || vtpm_of != 0;
  }
  [[nodiscard]] std::uint32_t domid() const { return record.domid; }
  [[nodiscard]] const measure::Uuid& uuid() const { return record.uuid; }
  [[nodiscard]] const std::string& name() const { return configuration.name; }
};

} // namespace ashlar::broker
