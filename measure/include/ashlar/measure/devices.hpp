// SPDX-License-Identifier: LGPL-2.1-or-later
// The devices that other domains give a guest, in the one form that is measured.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ashlar/base/result.hpp"

namespace ashlar::measure {

inline constexpr std::size_t max_disks = 8;
inline constexpr std::size_t max_nics = 8;
/// The longest name of a backend's domain, of a disk's target and of a bridge (Linux' IFNAMSIZ less
/// the NUL), in bytes.
inline constexpr std::size_t max_backend_bytes = 63;
inline constexpr std::size_t max_target_bytes = 127;
inline constexpr std::size_t max_bridge_bytes = 15;

/// The builder's own domain, as Xen's tools call it.
inline constexpr std::string_view domain_0_name = "Domain-0";

/// A block device of the guest, whose bytes another domain holds. Nothing of those bytes is
/// measured.
struct Disk {
  /// The guest's name for it: "xvda" to "xvdz", and a number from 1 to 15 for a partition.
  std::string vdev;
  bool writable = false;
  std::string backend; // the name of the domain that has it; 1 to max_backend_bytes
  /// A block device or a file there: an absolute path of 2 to max_target_bytes bytes of
  /// [A-Za-z0-9/._+:@-], in which no part is empty, "." or "..".
  std::string target;
  bool operator==(const Disk&) const = default;
};

/// A network interface of the guest. Its place in the list is its number in the guest.
struct Nic {
  std::string backend; // the name of the domain that has the bridge
  std::string bridge;  // 1 to max_bridge_bytes bytes of [A-Za-z0-9._-]
  /// "00:16:3e:01:02:03", lower case, not a group's; empty: the builder makes one from the UUID.
  std::string mac;
  bool operator==(const Nic&) const = default;
};

/// Xen's number of a disk (its xen-vbd-interface(7)), or nothing when the name is none.
[[nodiscard]] std::optional<std::uint32_t> vbd_number(std::string_view vdev);

/// Checks what stands with the members above, that there are no more than max_disks and max_nics,
/// and that no two share a vdev or a MAC address. The requester controls all of it. Errors:
/// invalid, limit, naming the device, the value and what is allowed.
[[nodiscard]] Status validate(std::span<const Disk> disks, std::span<const Nic> nics);

/// "xvda,access=ro,backend=storage,target=/dev/vg0/web": what stands behind "disk=" in the
/// canonical configuration. No value holds a comma.
[[nodiscard]] std::string canonical_text(const Disk& disk);
/// "backend=net,bridge=xenbr0,mac=00:16:3e:01:02:03", behind "nic="; without an address "mac=auto".
[[nodiscard]] std::string canonical_text(const Nic& nic);

/// Read the same texts, and nothing but them: what they give is valid for itself. Errors: invalid,
/// limit.
[[nodiscard]] Result<Disk> disk_from_text(std::string_view text);
[[nodiscard]] Result<Nic> nic_from_text(std::string_view text);

} // namespace ashlar::measure
