// SPDX-License-Identifier: LGPL-2.1-or-later
// Comparisons in which one side has nothing but PCR values.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "ashlar/evidence/compare.hpp"

namespace ashlar::evidence {

struct LogAndPcrs {
  const EventLog& log;
  std::string log_name;
  const PcrSet& pcrs;
  std::string pcrs_name;
  std::span<const KnownFile> known;
};

/// Both sides have PCR values. Errors: invalid (none in common).
[[nodiscard]] Result<std::optional<Difference>> compare_pcrs(const Side& first, const Side& second);

/// Difference::first is of the log. Errors: invalid (no PCR in common), internal.
[[nodiscard]] Result<std::optional<Difference>> compare_log_with_pcrs(const LogAndPcrs& sides);

} // namespace ashlar::evidence
