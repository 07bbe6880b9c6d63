// SPDX-License-Identifier: LGPL-2.1-or-later
// Reference manifests: what a guest's events and PCRs must be, written by `ashlar measure`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/pcr_profile.hpp"

namespace ashlar::evidence {

struct Reference {
  measure::Profile profile = measure::Profile::uapi;
  std::optional<measure::Uuid> uuid; // where given, the guest must have it
  /// In the order of a record; builder and policy only where the guest must have these, too.
  std::vector<measure::Event> events;
  measure::PcrValues pcrs; // what the events mean under the profile
};

/// A reference of these events. Errors: as measure::extensions_of.
[[nodiscard]] Result<Reference> make_reference(measure::Profile profile,
                                               std::optional<measure::Uuid> uuid,
                                               std::vector<measure::Event> events);

/// The manifest's text (docs/attestation.md, "References"): one reference has one text.
[[nodiscard]] std::string encode(const Reference& reference);

/// Reads exactly what encode() writes; the PCR lines must be what the events give. Errors: invalid,
/// limit, integrity, naming `what`.
[[nodiscard]] Result<Reference> read_reference(std::string_view text, const std::string& what);

} // namespace ashlar::evidence
