// SPDX-License-Identifier: LGPL-2.1-or-later
// Which event of a measurement record extends which PCR of the guest's TPM, and to what values.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/record.hpp"

namespace ashlar::measure {

/// A convention for the PCRs of a guest; docs/measurements.md has the table. No profile uses the
/// builder and policy events: what a guest is must not change with who may build it.
enum class Profile {
  uapi,    // the UAPI group's registry, as systemd-stub
  grub,    // GRUB and shim
  pv_grub, // Xen's pv-grub: SHA-1 only, for a TPM 1.2
};
inline constexpr std::array<Profile, 3> all_profiles = {Profile::uapi, Profile::grub,
                                                        Profile::pv_grub};
[[nodiscard]] const char* to_string(Profile profile); // "uapi", "grub", "pv-grub"
/// Reads the same words. Errors: invalid.
[[nodiscard]] Result<Profile> profile_from_text(std::string_view text);

/// The banks that a profile extends.
[[nodiscard]] std::span<const Bank> banks_of(Profile profile);

/// Event types of the TCG's log (PC Client Platform Firmware Profile, table of event types).
enum class LogType : std::uint32_t {
  no_action = 0x3,    // says something about the log; extends nothing
  compact_hash = 0xC, // readers take its digest as it is, in any PCR above 3
  initial_load = 0xD, // EV_IPL: what GRUB and systemd write; read in PCRs 8, 9, 12 and 14
};
[[nodiscard]] const char* to_string(LogType type); // "EV_IPL"

/// One extend of one PCR, with what the log says about it.
struct Extension {
  std::uint32_t pcr = 0;
  LogType log_type = LogType::initial_load;
  std::string log_text; // the log's event data: bytes, with the final NUL where the form has one
  Digests digests;      // what the PCR is extended with: those of the record's event
  bool operator==(const Extension&) const = default;
};

/// The extends that a record's events mean under a profile, in the order of the record.
///
/// Nothing in `events` is believed: a kept content must have the digests beside it. Errors:
/// integrity (it has others), invalid (no event for the kernel, the command line, the initrds or
/// another thing that the profile measures: a PCR that stays empty proves nothing), internal.
[[nodiscard]] Result<std::vector<Extension>> extensions_of(Profile profile,
                                                           std::span<const Event> events);

/// PCR number to value, in all banks; only the banks of the profile mean anything.
using PcrValues = std::map<std::uint32_t, Digests>;

/// The values after all extends in order, each value = H(old value || digest), from zeros: those of
/// the PCRs that are extended, and no others. Errors: internal.
[[nodiscard]] Result<PcrValues> replay(std::span<const Extension> extensions);

} // namespace ashlar::measure
