// SPDX-License-Identifier: LGPL-2.1-or-later
// What a domain is built from, in the one form that is measured.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/devices.hpp"

namespace ashlar::measure {

/// How Xen runs the guest's kernel.
enum class GuestType { pv, pvh };
[[nodiscard]] const char* to_string(GuestType type); // "pv", "pvh"

/// What the builder does when a domain stops by itself.
enum class StopAction {
  destroy,  // tear the domain down
  restart,  // build it again from the held images: a new incarnation with a new record
  preserve, // leave it for its owner to look at; it uses memory until it is destroyed
};
[[nodiscard]] const char* to_string(StopAction action); // "destroy", "restart", "preserve"

/// The TPM that the guest sees: none, or that of a vTPM domain of its own.
enum class Vtpm { none, tpm12, tpm20 };
[[nodiscard]] const char* to_string(Vtpm vtpm); // "none", "1.2", "2.0"
/// Reads the same words. Errors: invalid.
[[nodiscard]] Result<Vtpm> vtpm_from_text(std::string_view text);

/// The longest domain name, in bytes.
inline constexpr std::size_t max_name_bytes = 63;
/// The longest XSM label, in bytes.
inline constexpr std::size_t max_xsm_label_bytes = 127;

/// The settings of one domain as measured: everything that shapes the machine which the guest sees,
/// and nothing that differs between two builds of the same guest (no domid, UUID or serial).
struct DomainConfiguration {
  std::string name; // 1 to max_name bytes of [A-Za-z0-9._+-]
  GuestType type = GuestType::pvh;
  std::uint32_t vcpus = 1;          // at the start, and the maximum
  std::uint64_t memory_kib = 0;     // at the start, without Xen's overhead
  std::uint64_t max_memory_kib = 0; // the balloon's ceiling; at least memory_kib
  StopAction on_poweroff = StopAction::destroy;
  StopAction on_reboot = StopAction::restart;
  StopAction on_crash = StopAction::destroy;
  Vtpm vtpm = Vtpm::none;
  /// The context of Xen's FLASK that the domain gets, such as "system_u:system_r:domU_t"; empty:
  /// none is asked for. 1 to max_xsm_label_bytes of [A-Za-z0-9._:,-].
  std::string xsm_label = {};
  std::vector<Disk> disks = {};
  std::vector<Nic> nics = {};
};

/// Checks what every domain must keep, before it is measured: length and characters of the name and
/// the XSM label, at least one vCPU, some memory, a ceiling not below it, and the devices. The
/// requester controls all of it; the builder's own limits come on top. Errors: invalid, limit,
/// naming the setting, its value and the limit.
[[nodiscard]] Status validate(const DomainConfiguration& configuration);

/// The canonical text of a configuration: what the configuration event's digest covers.
///
/// One "key=value" line for each setting, in the fixed order documented in docs/measurements.md,
/// each ended by a single newline; the first line is "ashlar-domain-configuration=2". The line
/// "xsm_label=…" is there only if there is a label; behind it comes a line "disk=…" for each disk
/// and a line "nic=…" for each network interface (devices.hpp), in their order. Pure ASCII, decimal
/// numbers without leading zeros: a person can write it with a text editor and run sha256sum on it.
/// The text of a configuration that validate() refuses is not canonical (its name could hold a
/// newline).
[[nodiscard]] std::string canonical_text(const DomainConfiguration& configuration);

} // namespace ashlar::measure
