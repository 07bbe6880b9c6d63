// SPDX-License-Identifier: LGPL-2.1-or-later
// What a build's events mean for the guest's PCRs, before the build or from its record.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/cli/format.hpp"
#include "ashlar/cli/image_file.hpp"
#include "ashlar/ipc/message.hpp"
#include "ashlar/measure/pcr_profile.hpp"

namespace ashlar::cli {

/// Events with what they mean under one profile.
struct Prediction {
  measure::Profile profile = measure::Profile::uapi;
  std::vector<measure::Event> events;
  std::vector<measure::Extension> extensions;
  measure::PcrValues pcrs;
};

/// What only a builder knows; an event is predicted for each of the two that is given.
struct BuilderFacts {
  std::optional<std::string> identity;      // "ashlar-builder 0.1.0"
  std::optional<std::string> policy_digest; // 64 hexadecimal digits
};

/// The events of a build of `create` from `images`: the kernel, then the initrds in load order.
/// Errors: as measure::make_events.
[[nodiscard]] Result<std::vector<measure::Event>>
predicted_events(const ashlar_v1_Create& create, const std::vector<ImageFile>& images,
                 const BuilderFacts& builder);

/// A record's events as they came from the builder. Errors: invalid (a type or a digest that this
/// program does not know).
[[nodiscard]] Result<std::vector<measure::Event>> events_of(const RecordParts& record);

/// Errors: as measure::extensions_of.
[[nodiscard]] Result<Prediction> predict(measure::Profile profile,
                                         std::vector<measure::Event> events);

/// The events, then the PCRs.
[[nodiscard]] std::string prediction_text(const Prediction& prediction);
/// A table with one row for each PCR and bank.
[[nodiscard]] std::string pcrs_text(const Prediction& prediction);
/// {"profile":…,"configuration":…,"events":[…],"pcrs":{BANK:{PCR:DIGEST}}}; the events are as those
/// of record_json.
[[nodiscard]] nlohmann::ordered_json prediction_json(const Prediction& prediction);
/// {BANK:{PCR:DIGEST}}
[[nodiscard]] nlohmann::ordered_json pcrs_json(const Prediction& prediction);

/// The TCG's canonical event log in JSON, content type pcclient_std, as tpm2-tss reads it: event
/// data in hexadecimal.
[[nodiscard]] nlohmann::ordered_json cel_json(const Prediction& prediction);

/// Writes the TCG event log and the canonical one to the files named, where the name is not empty.
/// Errors: denied, not_found, io.
[[nodiscard]] Status write_logs(const Prediction& prediction, const std::string& tcg_file,
                                const std::string& cel_file);

/// Writes the reference manifest (docs/attestation.md); with a UUID, it is that guest's alone.
/// Errors: invalid, denied, not_found, io.
[[nodiscard]] Status write_manifest(const Prediction& prediction,
                                    const std::optional<std::string>& uuid,
                                    const std::string& file);

} // namespace ashlar::cli
