// SPDX-License-Identifier: LGPL-2.1-or-later
// PCR arithmetic, and which PCR the host log may use.
#pragma once

#include <cstdint>
#include <span>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/digest.hpp"

namespace ashlar::tpm {

/// The PCRs that an operating system owns and that nothing but a reset of the machine resets: 8 to
/// 15 (TCG PC Client Platform TPM Profile, "PCR Attributes"). 0 to 7 are the firmware's, 16 and 23
/// can be reset by anybody, 17 to 22 by a dynamic launch.
inline constexpr std::uint32_t first_host_pcr = 8;
inline constexpr std::uint32_t last_host_pcr = 15;
/// docs/decisions/0006-tpm-manager.md says why 13.
inline constexpr std::uint32_t default_host_pcr = 13;

/// A PCR's value in every bank. All zeros: never extended since the machine was reset.
using PcrValue = measure::Digests;

/// The value after TPM2_PCR_Extend with an event's digests: in each bank, H(value || digest).
/// Errors: internal (OpenSSL).
[[nodiscard]] Result<PcrValue> extended(const PcrValue& value, const measure::Digests& event);

/// Are the values the same in each of these banks?
[[nodiscard]] bool same_in(std::span<const measure::Bank> banks, const PcrValue& left,
                           const PcrValue& right);

} // namespace ashlar::tpm
