// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>

#include "ashlar/evidence/compare.hpp"

namespace ashlar::cli {

/// What is said of a file that holds nothing that two of could be compared.
inline constexpr std::string_view no_evidence =
    "it is none of: prediction, record, reference, bundle, event log, PCR values";

/// Reads what `ashlar measure --json` and `ashlar measurement --json` print, an object with nothing
/// but "pcrs", or a canonical event log (TCG "Canonical Event Log Format", JSON encoding, content
/// type pcclient_std). Errors: invalid, naming `file`.
[[nodiscard]] Result<evidence::Side> side_of_json(std::string_view text, const std::string& file);

} // namespace ashlar::cli
