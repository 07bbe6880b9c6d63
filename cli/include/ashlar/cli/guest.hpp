// SPDX-License-Identifier: LGPL-2.1-or-later
// A guest as the admin describes it: by flags, by an xl.cfg file, or both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/message.hpp"
#include "ashlar/measure/devices.hpp"

namespace ashlar::cli {

/// What is said about a guest; what is not said stays empty.
struct Guest {
  std::optional<std::string> name;
  std::optional<std::string> uuid;
  std::optional<std::string> type;             // "pv", "pvh"
  std::optional<std::string> kernel;           // a path
  std::vector<std::string> initrds;            // paths, in load order
  std::optional<std::string> kernel_signature; // a path
  std::vector<std::string> initrd_signatures;  // paths, or "none"; as many as initrds, or no one
  std::optional<std::string> command_line;
  std::optional<std::uint32_t> vcpus;
  std::optional<std::uint64_t> memory_kib;
  std::optional<std::uint64_t> max_memory_kib;
  std::optional<std::string> on_poweroff; // "destroy", "restart", "preserve"
  std::optional<std::string> on_reboot;
  std::optional<std::string> on_crash;
  std::optional<std::string> vtpm;      // "none", "1.2", "2.0"
  std::optional<std::string> xsm_label; // "system_u:system_r:domU_t"
  std::vector<measure::Disk> disks;
  std::vector<measure::Nic> nics; // in the guest's order

  bool operator==(const Guest&) const = default;
};

/// `base` with everything that `over` says in its place. Initrds, disks and network interfaces are
/// each replaced as a whole, and an image with its signature.
[[nodiscard]] Guest overlay(Guest base, const Guest& over);

/// Reads an amount of memory: a number of MiB, or one with the suffix K, M or G (either case).
/// Gives KiB. Errors: invalid, limit (1 PiB).
[[nodiscard]] Result<std::uint64_t> memory_from_text(std::string_view text);

/// A Create request for the guest, without its images. Defaults: PVH, one vCPU, 256 MiB.
/// Errors: invalid and limit, naming the setting or the device; invalid when name or kernel is
/// missing.
[[nodiscard]] Result<ashlar_v1_Create> create_request(const Guest& guest);

/// Reads a domain as given on the command line: a number is a domid, a UUID a UUID, anything else a
/// name. Errors: invalid, limit.
[[nodiscard]] Result<ashlar_v1_DomainRef> domain_from_text(const std::string& text);

} // namespace ashlar::cli
