// SPDX-License-Identifier: LGPL-2.1-or-later
// Compares two of: prediction, record, event log, PCR values.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/evidence/difference.hpp"
#include "ashlar/evidence/event_log.hpp"
#include "ashlar/evidence/pcr_set.hpp"

namespace ashlar::evidence {

/// One side: exactly one of events, log and pcrs is there.
struct Side {
  std::string name;  // in causes: "A"
  std::string kind;  // "prediction", "record", "reference", "event log", "PCR values"
  std::string whose; // where it says so, for people: "record 41 of guest web-3", "guest web-3"
  std::optional<measure::Profile> profile; // where it says of which it is
  std::optional<std::vector<measure::Event>> events;
  std::optional<EventLog> log;
  std::optional<PcrSet> pcrs;
};

/// The name in the canonical configuration, in its printable form; empty: there is none.
[[nodiscard]] std::string guest_name(std::span<const measure::Event> events);

/// The first event that differs; nothing: there is none. Records are compared by all they have; as
/// soon as a log or PCR values are on one side, by what the profile extends. PCR values alone name
/// a PCR in place of an event, unless a guess at the event gives the very value. Errors: invalid
/// (nothing that both have: no common bank or PCR), or as measure::extensions_of.
[[nodiscard]] Result<std::optional<Difference>> compare(const Side& first, const Side& second,
                                                        std::span<const KnownFile> known);

} // namespace ashlar::evidence
