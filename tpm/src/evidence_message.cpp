// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/evidence_message.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/tpm/vtpm_message.hpp"
#include "big_endian.hpp"

namespace ashlar::tpm {

std::vector<std::byte> encode(const HostLogPart& part) {
  std::vector<std::byte> out;
  put_big_endian(out, part.total);
  put_big_endian(out, part.first);
  for (const EvidenceDigest& event : part.events)
    out.insert(out.end(), event.begin(), event.end());
  return out;
}

std::vector<std::byte> encode(const GuestQuoteRequest& request) {
  std::vector<std::byte> out(request.nonce.begin(), request.nonce.end());
  out.insert(out.end(), request.key.begin(), request.key.end());
  put_big_endian(out, request.events);
  return out;
}

Result<std::vector<std::byte>> encode(const EvidenceParts& parts) {
  std::size_t size = 0;
  for (const auto& part : parts)
    size += sizeof(std::uint16_t) + part.size();
  if (size > max_vtpm_body_bytes)
    return limit_failure("answering with evidence", fmt::format("it has {} bytes", size),
                         fmt::format("{} bytes", max_vtpm_body_bytes));
  std::vector<std::byte> out;
  for (const auto& part : parts) {
    put_big_endian(out, static_cast<std::uint16_t>(part.size()));
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

Result<HostLogPart> decode_host_log_part(std::span<const std::byte> body) {
  const std::string doing = "reading a part of the host log";
  constexpr std::size_t first_at = 4;
  if (body.size() < host_log_part_header_bytes)
    return failure(ErrorCode::invalid, doing, fmt::format("it has {} bytes only", body.size()));
  HostLogPart part;
  part.total = get_big_endian<std::uint32_t>(body, 0);
  part.first = get_big_endian<std::uint32_t>(body, first_at);
  const auto rest = body.subspan(host_log_part_header_bytes);
  const std::size_t count = rest.size() / host_log_event_bytes;
  if (rest.size() % host_log_event_bytes != 0)
    return failure(ErrorCode::invalid, doing, "its last event is cut off");
  if (part.first > part.total || count > part.total - part.first)
    return failure(ErrorCode::invalid, doing,
                   fmt::format("{} events from {} on are beyond its end at {}", count, part.first,
                               part.total));
  part.events.resize(count);
  for (std::size_t i = 0; i < count; ++i)
    std::ranges::copy(rest.subspan(i * host_log_event_bytes, host_log_event_bytes),
                      part.events[i].begin());
  return part;
}

Result<GuestQuoteRequest> decode_guest_quote_request(std::span<const std::byte> body) {
  if (body.size() != guest_quote_request_bytes)
    return failure(ErrorCode::invalid, "reading a request for a guest's quote",
                   fmt::format("it has {} bytes, not {}", body.size(), guest_quote_request_bytes));
  GuestQuoteRequest request;
  std::ranges::copy(body.first(request.nonce.size()), request.nonce.begin());
  std::ranges::copy(body.subspan(request.nonce.size(), request.key.size()), request.key.begin());
  request.events = get_big_endian<std::uint32_t>(body, request.nonce.size() + request.key.size());
  return request;
}

Result<EvidenceParts> decode_evidence_parts(std::span<const std::byte> body, std::size_t count) {
  const std::string doing = "reading the parts of a message";
  EvidenceParts parts;
  for (std::size_t i = 0; i < count; ++i) {
    if (body.size() < sizeof(std::uint16_t))
      return failure(ErrorCode::invalid, doing, fmt::format("it ends after {} of {}", i, count));
    const std::size_t size = get_big_endian<std::uint16_t>(body, 0);
    body = body.subspan(sizeof(std::uint16_t));
    if (size > body.size())
      return failure(ErrorCode::invalid, doing,
                     fmt::format("part {} has {} bytes, {} follow", i + 1, size, body.size()));
    parts.emplace_back(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size));
    body = body.subspan(size);
  }
  if (!body.empty())
    return failure(ErrorCode::invalid, doing,
                   fmt::format("{} bytes follow its {} parts", body.size(), count));
  return parts;
}

} // namespace ashlar::tpm
