// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/vtpm_service.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/tpm/limits.hpp"

namespace ashlar::tpm {

namespace {

// The two sizes that stock vTPMs save: without and with the hash of their NVRAM.
constexpr std::size_t short_key_bytes = 52;
constexpr std::size_t long_key_bytes = 64;

std::unexpected<Error> refused(ErrorCode code, std::string why) {
  return failure(code, "answering a vTPM", std::move(why));
}

VtpmStatus status_of(ErrorCode code) {
  switch (code) {
  case ErrorCode::denied:
    return VtpmStatus::denied;
  case ErrorCode::invalid:
  case ErrorCode::limit:
    return VtpmStatus::bad_parameter;
  case ErrorCode::unsupported:
    return VtpmStatus::bad_ordinal;
  case ErrorCode::not_found:
    return VtpmStatus::no_key;
  default:
    return VtpmStatus::failed;
  }
}

Status require_empty(std::span<const std::byte> body) {
  if (body.empty())
    return {};
  return refused(ErrorCode::invalid, fmt::format("{} bytes follow the header", body.size()));
}

std::uint32_t read_offset(std::span<const std::byte> body) {
  std::uint32_t offset = 0;
  for (const std::byte byte : body)
    offset = (offset << 8) | std::to_integer<std::uint32_t>(byte);
  return offset;
}

} // namespace

Result<const Binding*> VtpmService::binding_of(std::uint32_t domid) const {
  const LogEvent* vtpm = manager_.ledger().find_domid(domid);
  const Binding* binding = vtpm ? manager_.bindings().of_vtpm(vtpm->serial) : nullptr;
  if (!binding)
    return refused(ErrorCode::denied,
                   fmt::format("domain {} is not the vTPM of a guest that lives", domid));
  return binding;
}

Status VtpmService::connected(std::uint32_t frontend_domid) {
  const Binding* binding = TRY(binding_of(frontend_domid));
  log::info("domain {} is the vTPM of the guest with record {}", frontend_domid,
            binding->guest_serial);
  return {};
}

std::vector<std::byte> VtpmService::answer(std::uint32_t frontend_domid,
                                           std::span<const std::byte> packet) {
  const Result<VtpmRequest> request = decode_vtpm_request(packet);
  Result<VtpmResponse> response =
      request ? respond(frontend_domid, *request) : std::unexpected(request.error());
  if (!response) {
    log::notice("domain {}: {}", frontend_domid, response.error().message());
    response = VtpmResponse{status_of(response.error().code), {}};
  }
  return encode(*response);
}

Result<VtpmResponse> VtpmService::respond(std::uint32_t domid, const VtpmRequest& request) {
  const Binding& binding = *TRY(binding_of(domid));
  switch (request.ordinal) {
  case VtpmOrdinal::get_measurement:
    return measurement(binding, request.body);
  case VtpmOrdinal::get_boot_hash:
    TRY(require_empty(request.body));
    return boot_hash(binding);
  case VtpmOrdinal::save_hash_key:
    return save_key(binding, request.body);
  case VtpmOrdinal::load_hash_key:
    TRY(require_empty(request.body));
    return load_key(binding);
  case VtpmOrdinal::get_quote:
  case VtpmOrdinal::get_tpm2_quote:
    break;
  }
  return refused(ErrorCode::unsupported, fmt::format("ordinal {:#x} is not known here",
                                                     static_cast<std::uint32_t>(request.ordinal)));
}

Result<VtpmResponse> VtpmService::measurement(const Binding& binding,
                                              std::span<const std::byte> body) const {
  if (body.size() != sizeof(std::uint32_t))
    return refused(
        ErrorCode::invalid,
        fmt::format("a measurement is asked for by a 4-byte offset, not {} bytes", body.size()));
  const std::vector<std::byte>& record = manager_.ledger().find(binding.guest_serial)->encoded;
  const std::uint32_t offset = read_offset(body);
  if (offset > record.size())
    return refused(ErrorCode::invalid,
                   fmt::format("offset {} is beyond the record's {} bytes", offset, record.size()));
  const auto rest = std::span(record).subspan(offset);
  const auto bytes =
      rest.first(std::min(rest.size(), max_vtpm_body_bytes - measurement_part_header_bytes));
  MeasurementPart part;
  part.tpm_version = static_cast<std::uint8_t>(binding.version);
  part.profile = static_cast<std::uint8_t>(binding.profile);
  part.total = static_cast<std::uint32_t>(record.size());
  part.offset = offset;
  part.bytes.assign(bytes.begin(), bytes.end());
  return VtpmResponse{VtpmStatus::success, encode(part)};
}

Result<VtpmResponse> VtpmService::boot_hash(const Binding& binding) const {
  const measure::Record record =
      TRY(measure::decode(manager_.ledger().find(binding.guest_serial)->encoded));
  const auto kernel =
      std::ranges::find(record.events, measure::EventType::kernel, &measure::Event::type);
  if (kernel == record.events.end())
    return refused(ErrorCode::internal, "the guest's record has no kernel");
  const auto& sha1 = kernel->digests.sha1;
  return VtpmResponse{VtpmStatus::success, {sha1.begin(), sha1.end()}};
}

Result<VtpmResponse> VtpmService::save_key(const Binding& binding,
                                           std::span<const std::byte> body) {
  if (body.size() != short_key_bytes && body.size() != long_key_bytes)
    return refused(ErrorCode::invalid, fmt::format("a key has {} or {} bytes, not {}",
                                                   short_key_bytes, long_key_bytes, body.size()));
  const measure::Record record =
      TRY(measure::decode(manager_.ledger().find(binding.guest_serial)->encoded));
  if (keys_.size() >= max_vtpm_keys && !keys_.contains(record.uuid))
    return limit_failure("keeping a vTPM's key", "there is no room for another",
                         fmt::format("{} keys", max_vtpm_keys));
  keys_[record.uuid].assign(body.begin(), body.end());
  return VtpmResponse{VtpmStatus::success, {}};
}

Result<VtpmResponse> VtpmService::load_key(const Binding& binding) const {
  const measure::Record record =
      TRY(measure::decode(manager_.ledger().find(binding.guest_serial)->encoded));
  const auto found = keys_.find(record.uuid);
  if (found == keys_.end())
    return refused(ErrorCode::not_found, "no key was saved for this guest");
  return VtpmResponse{VtpmStatus::success, found->second};
}

} // namespace ashlar::tpm
