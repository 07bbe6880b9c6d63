// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading the TCG's crypto-agile event log: ours, and a firmware's.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/pcr_profile.hpp"

namespace ashlar::evidence {

/// What a log says was extended.
struct EventLog {
  std::vector<measure::Bank> banks; // those of which the log has digests, as it orders them
  /// In the log's order, without what extends nothing; digests of other banks are zeros.
  std::vector<measure::Extension> extensions;
};

/// Reads the TCG's log (PC Client Platform Firmware Profile, "Event Logging"): an entry "Spec ID
/// Event03", then TCG_PCR_EVENT2 entries, each with one digest for each algorithm of the first
/// entry. Digests of algorithms that are no bank here are passed over. Whoever wrote the log
/// controls all of it. Errors: invalid, limit.
[[nodiscard]] Result<EventLog> read_event_log(std::span<const std::byte> bytes);

} // namespace ashlar::evidence
