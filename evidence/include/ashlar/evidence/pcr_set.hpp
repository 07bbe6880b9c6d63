// SPDX-License-Identifier: LGPL-2.1-or-later
// PCR values as people have them at hand.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/pcr_profile.hpp"

namespace ashlar::evidence {

/// Values by bank and number; each has its bank's length.
using PcrSet = std::map<measure::Bank, std::map<std::uint32_t, std::vector<std::byte>>>;

/// Reads any of: what `tpm2_pcrread` prints (YAML); lines "sha256:11 HEX", as in a bundle; what
/// `grep . /sys/class/tpm/tpm0/pcr-sha256/*` prints; /sys/class/tpm/tpm0/device/pcrs of a TPM 1.2
/// ("PCR-11: 5A 3B …"). Banks other than SHA-1, SHA-256 and SHA-384 are passed over. Errors:
/// invalid, naming the line.
[[nodiscard]] Result<PcrSet> read_pcr_set(std::string_view text, std::string_view what);

/// The values in a set's form, of these banks. Errors: internal.
[[nodiscard]] PcrSet pcr_set_of(const measure::PcrValues& values,
                                const std::vector<measure::Bank>& banks);

} // namespace ashlar::evidence
