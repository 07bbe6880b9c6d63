// SPDX-License-Identifier: LGPL-2.1-or-later
// The TCG's event log, as tpm2_eventlog and other readers take it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ashlar/measure/pcr_profile.hpp"

namespace ashlar::measure {

/// The TCG's number of a bank's algorithm (TCG Algorithm Registry): 0x4, 0xB, 0xC.
[[nodiscard]] std::uint16_t tcg_algorithm(Bank bank);

/// The extends as a crypto-agile event log (TCG PC Client Platform Firmware Profile, chapter "Event
/// Logging"): the "Spec ID Event03" entry, then a TCG_PCR_EVENT2 for each extend, in the banks of
/// the profile. Little-endian and packed. Replaying it gives the values of replay().
[[nodiscard]] std::vector<std::byte> event_log(Profile profile,
                                               std::span<const Extension> extensions);

} // namespace ashlar::measure
