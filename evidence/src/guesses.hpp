// SPDX-License-Identifier: LGPL-2.1-or-later
// From a PCR's value alone: which likely change would have given it?
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/evidence/difference.hpp"

namespace ashlar::evidence {

struct Guess {
  std::size_t event = 0; // of `events`, from 0
  std::string cause;
};

/// Tries single changes of the events of one PCR: a known file in another's place, no initrd, a
/// word more or less in the command line. A guess that is given is no guess any more: it has that
/// very value. Errors: internal.
[[nodiscard]] Result<std::optional<Guess>>
guess_event(const std::vector<measure::Extension>& events, measure::Bank bank,
            std::span<const std::byte> value, std::span<const KnownFile> known);

} // namespace ashlar::evidence
