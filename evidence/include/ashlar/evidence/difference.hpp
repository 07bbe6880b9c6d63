// SPDX-License-Identifier: LGPL-2.1-or-later
// What the first difference between two lists of measured things is, in words.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ashlar/measure/pcr_profile.hpp"

namespace ashlar::evidence {

/// One measured thing, from a record's event or from an entry of a log.
struct Item {
  std::optional<measure::EventType> type;
  std::optional<std::uint32_t> pcr;
  std::string covers;                 // "kernel", "EV_IPL in PCR 12"
  std::string label;                  // what its source calls it; for people
  std::optional<std::string> content; // the measured bytes, where its source has them
  measure::Digests digests;
};

[[nodiscard]] std::vector<Item> items_of(std::span<const measure::Event> events);
/// The type and content of an entry are known where it is one that a profile of ours writes.
[[nodiscard]] std::vector<Item> items_of(std::span<const measure::Extension> extensions);

/// Files whose digests somebody knows, to be named when one turns up.
struct KnownFile {
  std::string name; // "initrd of web-3.manifest"
  measure::Digests digests;
};

struct Difference {
  std::size_t position = 0; // of the event, from 1; 0: PCR values do not tell which of several
  std::string covers;
  std::string first; // what it is on either side: a digest or "none", and the content
  std::string second;
  std::string cause; // for people
};

/// Two lists and what the sides are called in causes: "A", "the reference".
struct Comparison {
  std::span<const Item> first;
  std::span<const Item> second;
  std::string first_name;
  std::string second_name;
  std::span<const measure::Bank> banks; // those that both sides have; at least one
  std::span<const KnownFile> known;
};

/// The first event that differs, if any. Contents come from people who may lie: they are shown only
/// in their printable form.
[[nodiscard]] std::optional<Difference> first_difference(const Comparison& comparison);

} // namespace ashlar::evidence
