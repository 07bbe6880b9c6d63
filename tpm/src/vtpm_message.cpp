// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/vtpm_message.hpp"

#include <fmt/format.h>

namespace ashlar::tpm {

namespace {

template <typename Number>
void put(std::vector<std::byte>& out, Number value) {
  for (std::size_t i = sizeof value; i-- > 0;)
    out.push_back(static_cast<std::byte>(value >> (8 * i)));
}

/// The number at `offset`, big-endian; the caller has checked that it is there.
template <typename Number>
Number get(std::span<const std::byte> bytes, std::size_t offset) {
  Number value = 0;
  for (const std::byte byte : bytes.subspan(offset, sizeof value))
    value = static_cast<Number>((value << 8) | std::to_integer<Number>(byte));
  return value;
}

std::vector<std::byte> message(std::uint16_t tag, std::uint32_t code,
                               std::span<const std::byte> body) {
  std::vector<std::byte> out;
  out.reserve(vtpm_header_bytes + body.size());
  put(out, tag);
  put(out, static_cast<std::uint32_t>(vtpm_header_bytes + body.size()));
  put(out, code);
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

/// The code of a message's header. Errors: invalid.
Result<std::uint32_t> read_header(std::span<const std::byte> bytes, std::uint16_t tag,
                                  const char* what) {
  const std::string doing = fmt::format("reading {}", what);
  if (bytes.size() < vtpm_header_bytes)
    return failure(
        ErrorCode::invalid, doing,
        fmt::format("it has {} bytes, its header alone {}", bytes.size(), vtpm_header_bytes));
  if (const auto found = get<std::uint16_t>(bytes, 0); found != tag)
    return failure(ErrorCode::invalid, doing,
                   fmt::format("its tag is {:#06x}, not {:#06x}", found, tag));
  if (const auto size = get<std::uint32_t>(bytes, 2); size != bytes.size())
    return failure(ErrorCode::invalid, doing,
                   fmt::format("it says that it has {} bytes and has {}", size, bytes.size()));
  return get<std::uint32_t>(bytes, 6);
}

std::vector<std::byte> body_of(std::span<const std::byte> bytes) {
  const auto body = bytes.subspan(vtpm_header_bytes);
  return {body.begin(), body.end()};
}

} // namespace

std::vector<std::byte> encode(const VtpmRequest& request) {
  return message(vtpm_request_tag, static_cast<std::uint32_t>(request.ordinal), request.body);
}

std::vector<std::byte> encode(const VtpmResponse& response) {
  return message(vtpm_response_tag, static_cast<std::uint32_t>(response.status), response.body);
}

std::vector<std::byte> encode(const MeasurementPart& part) {
  std::vector<std::byte> out;
  put(out, measurement_part_version);
  put(out, part.tpm_version);
  put(out, part.profile);
  put(out, std::uint8_t{0});
  put(out, part.total);
  put(out, part.offset);
  out.insert(out.end(), part.bytes.begin(), part.bytes.end());
  return out;
}

Result<VtpmRequest> decode_vtpm_request(std::span<const std::byte> bytes) {
  const std::uint32_t ordinal = TRY(read_header(bytes, vtpm_request_tag, "a vTPM's request"));
  return VtpmRequest{static_cast<VtpmOrdinal>(ordinal), body_of(bytes)};
}

Result<VtpmResponse> decode_vtpm_response(std::span<const std::byte> bytes) {
  const std::uint32_t status =
      TRY(read_header(bytes, vtpm_response_tag, "the TPM Manager's response"));
  return VtpmResponse{static_cast<VtpmStatus>(status), body_of(bytes)};
}

Result<MeasurementPart> decode_measurement_part(std::span<const std::byte> body) {
  constexpr std::size_t version_at = 0, tpm_version_at = 1, profile_at = 2, total_at = 4;
  constexpr std::size_t offset_at = 8;
  const std::string doing = "reading a part of the guest's measurement";
  if (body.size() < measurement_part_header_bytes)
    return failure(ErrorCode::invalid, doing, fmt::format("it has {} bytes only", body.size()));
  if (const auto version = get<std::uint8_t>(body, version_at); version != measurement_part_version)
    return failure(
        ErrorCode::invalid, doing,
        fmt::format("its version is {}, this program reads {}", version, measurement_part_version));
  MeasurementPart part;
  part.tpm_version = get<std::uint8_t>(body, tpm_version_at);
  part.profile = get<std::uint8_t>(body, profile_at);
  part.total = get<std::uint32_t>(body, total_at);
  part.offset = get<std::uint32_t>(body, offset_at);
  const auto bytes = body.subspan(measurement_part_header_bytes);
  part.bytes.assign(bytes.begin(), bytes.end());
  if (part.offset > part.total || part.bytes.size() > part.total - part.offset)
    return failure(ErrorCode::invalid, doing,
                   fmt::format("{} bytes from {} on are beyond its end at {}", part.bytes.size(),
                               part.offset, part.total));
  return part;
}

} // namespace ashlar::tpm
