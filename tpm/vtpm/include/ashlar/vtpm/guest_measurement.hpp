// SPDX-License-Identifier: LGPL-2.1-or-later
// What a vTPM asks the TPM Manager for.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/pcr_profile.hpp"
#include "ashlar/measure/record.hpp"

namespace ashlar::vtpm {

struct GuestMeasurement {
  measure::Record record;
  measure::Vtpm version = measure::Vtpm::none;
  measure::Profile profile = measure::Profile::uapi;
};

/// Sends a packet to the TPM Manager, and gives its answer.
using Exchange = std::function<Result<std::vector<std::byte>>(std::span<const std::byte>)>;

/// The record of this vTPM's guest, in at most max_measurement_parts questions. Errors: denied (the
/// manager refuses), invalid (its answers make no sense), and those of `exchange`.
[[nodiscard]] Result<GuestMeasurement> fetch_measurement(const Exchange& exchange);
inline constexpr int max_measurement_parts = 8; // of about 4 KiB each

} // namespace ashlar::vtpm
