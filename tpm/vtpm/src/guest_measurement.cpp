// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/vtpm/guest_measurement.hpp"

#include <fmt/format.h>

#include "ashlar/tpm/vtpm_message.hpp"

namespace ashlar::vtpm {

namespace {

constexpr const char* doing = "asking the TPM Manager for the guest's measurement";

Result<tpm::VtpmResponse> ask(const Exchange& exchange, const tpm::VtpmRequest& request) {
  const std::vector<std::byte> answer = TRY(exchange(tpm::encode(request)));
  return tpm::decode_vtpm_response(answer);
}

std::vector<std::byte> offset_body(std::size_t offset) {
  std::vector<std::byte> body;
  for (int shift = 24; shift >= 0; shift -= 8)
    body.push_back(static_cast<std::byte>(offset >> shift));
  return body;
}

Result<tpm::MeasurementPart> ask_for_part(const Exchange& exchange, std::size_t offset) {
  const tpm::VtpmResponse response =
      TRY(ask(exchange, {tpm::VtpmOrdinal::get_measurement, offset_body(offset)}));
  if (response.status != tpm::VtpmStatus::success)
    return failure(
        ErrorCode::denied, doing,
        fmt::format("it answers with status {}", static_cast<std::uint32_t>(response.status)));
  tpm::MeasurementPart part = TRY(tpm::decode_measurement_part(response.body));
  if (part.offset != offset || part.bytes.empty() || part.total > measure::max_record_bytes)
    return failure(ErrorCode::invalid, doing,
                   fmt::format("{} bytes at {} of {}, where byte {} was asked for",
                               part.bytes.size(), part.offset, part.total, offset));
  return part;
}

} // namespace

Result<GuestMeasurement> fetch_measurement(const Exchange& exchange) {
  tpm::MeasurementPart first = TRY(ask_for_part(exchange, 0));
  std::vector<std::byte> encoded = std::move(first.bytes);
  for (int parts = 1; encoded.size() < first.total; ++parts) {
    if (parts == max_measurement_parts)
      return failure(ErrorCode::invalid, doing,
                     fmt::format("{} bytes are not complete after {} answers", first.total, parts));
    const tpm::MeasurementPart part = TRY(ask_for_part(exchange, encoded.size()));
    if (part.total != first.total)
      return failure(ErrorCode::invalid, doing, "its size changes from answer to answer");
    encoded.insert(encoded.end(), part.bytes.begin(), part.bytes.end());
  }
  GuestMeasurement measurement;
  measurement.record = TRY(measure::decode(encoded));
  measurement.version = static_cast<measure::Vtpm>(first.tpm_version);
  measurement.profile = static_cast<measure::Profile>(first.profile);
  const bool known_version =
      measurement.version == measure::Vtpm::tpm12 || measurement.version == measure::Vtpm::tpm20;
  if (!known_version || first.profile >= measure::all_profiles.size())
    return failure(ErrorCode::invalid, doing,
                   fmt::format("TPM version {} or profile {} is unknown here", first.tpm_version,
                               first.profile));
  return measurement;
}

} // namespace ashlar::vtpm
