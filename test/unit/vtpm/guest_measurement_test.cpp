// SPDX-License-Identifier: LGPL-2.1-or-later
// What a vTPM believes of the TPM Manager's answers.
#include <doctest/doctest.h>

#include <algorithm>

#include "ashlar/tpm/vtpm_message.hpp"
#include "ashlar/vtpm/guest_measurement.hpp"

using namespace ashlar;
using namespace ashlar::vtpm;

namespace {

measure::Record guest_record() {
  measure::Record record;
  record.serial = 7;
  record.domid = 3;
  record.requester = "toolstack";
  record.events.emplace_back();
  record.events.back().type = measure::EventType::kernel;
  return record;
}

/// A manager that hands out `bytes` in parts of `step`, each changed by `spoil`.
struct Manager {
  std::vector<std::byte> bytes = *measure::encode(guest_record());
  std::size_t step = 100;
  std::function<void(tpm::MeasurementPart&)> spoil = [](tpm::MeasurementPart&) {};
  tpm::VtpmStatus status = tpm::VtpmStatus::success;
  int questions = 0;

  [[nodiscard]] Result<GuestMeasurement> fetch() {
    return fetch_measurement([this](std::span<const std::byte> packet) { return answer(packet); });
  }
  Result<std::vector<std::byte>> answer(std::span<const std::byte> packet) {
    ++questions;
    const auto request = tpm::decode_vtpm_request(packet);
    REQUIRE(request);
    REQUIRE(request->ordinal == tpm::VtpmOrdinal::get_measurement);
    REQUIRE(request->body.size() == 4);
    std::size_t offset = 0;
    for (const std::byte byte : request->body)
      offset = offset << 8 | std::to_integer<std::size_t>(byte);
    REQUIRE(offset <= bytes.size());
    tpm::MeasurementPart part;
    part.tpm_version = 2;
    part.total = static_cast<std::uint32_t>(bytes.size());
    part.offset = static_cast<std::uint32_t>(offset);
    const auto rest = std::span(bytes).subspan(offset);
    const auto some = rest.first(std::min(step, rest.size()));
    part.bytes.assign(some.begin(), some.end());
    spoil(part);
    if (status != tpm::VtpmStatus::success)
      return tpm::encode(tpm::VtpmResponse{status, {}});
    return tpm::encode(tpm::VtpmResponse{status, tpm::encode(part)});
  }
};

ErrorCode code(const Result<GuestMeasurement>& result) {
  REQUIRE_FALSE(result);
  return result.error().code;
}

} // namespace

TEST_CASE("guest measurement: the record is put together from its parts") {
  for (const std::size_t step : {50U, 100U, 4000U}) {
    Manager manager;
    manager.step = step;
    const auto measurement = manager.fetch();
    REQUIRE_MESSAGE(measurement.has_value(), measurement.error().message());
    CHECK(measurement->record == guest_record());
    CHECK(measurement->version == measure::Vtpm::tpm20);
    CHECK(measurement->profile == measure::Profile::uapi);
  }
}

TEST_CASE(
    "guest measurement: a manager that refuses is no reason for a TPM without a measurement") {
  Manager manager;
  manager.status = tpm::VtpmStatus::denied;
  CHECK(code(manager.fetch()) == ErrorCode::denied);
}

TEST_CASE("guest measurement: answers that make no sense are refused, and end") {
  const std::vector<std::function<void(tpm::MeasurementPart&)>> spoils = {
      [](auto& part) { part.bytes.clear(); },
      [](auto& part) { part.offset += 1; },
      [](auto& part) { part.total = measure::max_record_bytes + 1; },
      [](auto& part) { part.total += part.offset == 0 ? 0 : 1; },
      [](auto& part) { part.tpm_version = 0; },
      [](auto& part) { part.tpm_version = 3; },
      [](auto& part) { part.profile = 3; },
      [](auto& part) { part.bytes.resize(1); },
      [](auto& part) { part.bytes[0] ^= std::byte{1}; },
  };
  for (std::size_t i = 0; i < spoils.size(); ++i) {
    CAPTURE(i);
    Manager manager;
    manager.spoil = spoils[i];
    CHECK(code(manager.fetch()) == ErrorCode::invalid);
    CHECK(manager.questions <= max_measurement_parts);
  }
}
