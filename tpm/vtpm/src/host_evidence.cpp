// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/vtpm/host_evidence.hpp"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "ashlar/tpm/evidence_message.hpp"
#include "ashlar/tpm/limits.hpp"
#include "ashlar/tpm/vtpm_message.hpp"

namespace ashlar::vtpm {

namespace {

constexpr const char* doing = "asking the TPM Manager for evidence";

Result<tpm::VtpmResponse> ask(const Exchange& exchange, tpm::VtpmOrdinal ordinal,
                              std::span<const std::byte> body) {
  const std::vector<std::byte> answer = TRY(exchange(
      tpm::encode(tpm::VtpmRequest{.ordinal = ordinal, .body = {body.begin(), body.end()}})));
  return tpm::decode_vtpm_response(answer);
}

ErrorCode code_of(tpm::VtpmStatus status) {
  switch (status) {
  case tpm::VtpmStatus::too_often:
  case tpm::VtpmStatus::log_grew:
    return ErrorCode::busy;
  case tpm::VtpmStatus::denied:
    return ErrorCode::denied;
  case tpm::VtpmStatus::failed:
    return ErrorCode::io;
  default:
    return ErrorCode::invalid;
  }
}

Result<std::vector<std::byte>> require(tpm::VtpmResponse response) {
  if (response.status == tpm::VtpmStatus::success)
    return std::move(response.body);
  return failure(
      code_of(response.status), doing,
      fmt::format("it answers with status {}", static_cast<std::uint32_t>(response.status)));
}

Result<std::vector<std::byte>> ask_and_require(const Exchange& exchange, tpm::VtpmOrdinal ordinal,
                                               std::span<const std::byte> body) {
  return require(TRY(ask(exchange, ordinal, body)));
}

/// Adds what the log has beyond what is there. Each answer brings at least one event, so this ends.
Status fetch_rest(const Exchange& exchange, std::vector<std::byte>& log) {
  for (;;) {
    const auto have = static_cast<std::uint32_t>(log.size() / tpm::host_log_event_bytes);
    std::vector<std::byte> body;
    for (int shift = 24; shift >= 0; shift -= 8)
      body.push_back(static_cast<std::byte>(have >> shift));
    const std::vector<std::byte> answer =
        TRY(ask_and_require(exchange, tpm::VtpmOrdinal::get_host_log, body));
    const tpm::HostLogPart part = TRY(tpm::decode_host_log_part(answer));
    if (part.first != have || part.total > tpm::max_log_events)
      return failure(ErrorCode::invalid, doing,
                     fmt::format("it gives events from {} on of {}, where {} was asked for",
                                 part.first, part.total, have));
    for (const tpm::EvidenceDigest& event : part.events)
      log.insert(log.end(), event.begin(), event.end());
    if (have + part.events.size() == part.total)
      return {};
    if (part.events.empty())
      return failure(ErrorCode::invalid, doing,
                     fmt::format("it gives nothing after event {} of {}", have, part.total));
  }
}

Result<tpm::VtpmResponse> ask_for_quote(const Exchange& exchange, std::span<const std::byte> nonce,
                                        std::span<const std::byte> key_digest,
                                        std::span<const std::byte> log) {
  tpm::GuestQuoteRequest request;
  if (nonce.size() != request.nonce.size() || key_digest.size() != request.key.size())
    return failure(ErrorCode::internal, doing, "a nonce or digest of the wrong size");
  std::ranges::copy(nonce, request.nonce.begin());
  std::ranges::copy(key_digest, request.key.begin());
  request.events = static_cast<std::uint32_t>(log.size() / tpm::host_log_event_bytes);
  return ask(exchange, tpm::VtpmOrdinal::get_guest_quote, tpm::encode(request));
}

} // namespace

Result<HostEvidence> fetch_host_evidence(const Exchange& exchange, std::span<const std::byte> nonce,
                                         std::span<const std::byte> key_digest) {
  HostEvidence evidence;
  tpm::VtpmResponse response{.status = tpm::VtpmStatus::log_grew, .body = {}};
  for (int attempt = 0;
       response.status == tpm::VtpmStatus::log_grew && attempt < max_quote_attempts; ++attempt) {
    TRY(fetch_rest(exchange, evidence.log));
    response = TRY(ask_for_quote(exchange, nonce, key_digest, evidence.log));
  }
  const std::vector<std::byte> quote = TRY(require(std::move(response)));
  tpm::EvidenceParts parts = TRY(tpm::decode_evidence_parts(quote, tpm::guest_quote_parts));
  if (parts[3].empty() || parts[3].size() % tpm::quoted_pcr_bytes != 0)
    return failure(ErrorCode::invalid, doing, "its PCR values are cut off");
  evidence.attest = std::move(parts[0]);
  evidence.signature = std::move(parts[1]);
  evidence.key = std::move(parts[2]);
  evidence.pcrs = std::move(parts[3]);
  const std::vector<std::byte> keys =
      TRY(ask_and_require(exchange, tpm::VtpmOrdinal::get_host_keys, {}));
  parts = TRY(tpm::decode_evidence_parts(keys, tpm::host_keys_parts));
  evidence.ek = std::move(parts[0]);
  evidence.certificate = std::move(parts[1]);
  return evidence;
}

Result<std::vector<std::byte>> activate_credential(const Exchange& exchange,
                                                   std::span<const std::byte> parts) {
  std::vector<std::byte> answer =
      TRY(ask_and_require(exchange, tpm::VtpmOrdinal::activate_credential, parts));
  const tpm::EvidenceParts read = TRY(tpm::decode_evidence_parts(answer, 1));
  if (read[0].size() > tpm::max_credential_secret_bytes)
    return failure(ErrorCode::invalid, doing, "its secret is too long");
  return answer;
}

} // namespace ashlar::vtpm
