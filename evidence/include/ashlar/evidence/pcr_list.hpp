// SPDX-License-Identifier: LGPL-2.1-or-later
// PCR values of the SHA-256 bank as lines "sha256:N HEX".
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string_view>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/digest.hpp"

namespace ashlar::evidence {

using PcrList = std::map<std::uint32_t, measure::Sha256>;
/// What a PCR may be: any of these values.
using PcrChoices = std::map<std::uint32_t, std::set<measure::Sha256>>;

/// Reads a bundle's host.pcrs or guest.pcrs: at least one line, each ended by a newline, by rising
/// N, lower-case digits. Errors: invalid, naming `what` and the line.
[[nodiscard]] Result<PcrList> read_pcr_list(std::string_view text, std::string_view what);

/// Reads a verifier's own host.pcrs: the same lines in any order; several of one PCR are choices.
/// Empty lines and lines that begin with # are passed over. A value of zeros is refused: it would
/// approve of a machine that measured nothing. Errors: invalid.
[[nodiscard]] Result<PcrChoices> read_pcr_choices(std::string_view text, std::string_view what);

} // namespace ashlar::evidence
