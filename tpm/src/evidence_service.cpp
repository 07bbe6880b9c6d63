// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/evidence_service.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/tpm/evidence_message.hpp"
#include "ashlar/tpm/limits.hpp"
#include "big_endian.hpp"

namespace ashlar::tpm {

namespace {

constexpr std::size_t max_part_events =
    (max_vtpm_body_bytes - host_log_part_header_bytes) / host_log_event_bytes;

VtpmResponse refused(VtpmStatus status) {
  return VtpmResponse{status, {}};
}

VtpmResponse answered(Result<std::vector<std::byte>> body) {
  if (!body)
    return vtpm_refusal(body.error());
  return VtpmResponse{VtpmStatus::success, *std::move(body)};
}

Result<measure::Sha256> log_digest(const Ledger& ledger) {
  measure::BankStream stream = TRY(measure::BankStream::create(measure::Bank::sha256));
  for (const LogEvent& event : ledger.log())
    TRY(stream.update(event.digests.sha256));
  measure::Digests out;
  TRY(stream.finish(out));
  return out.sha256;
}

std::vector<std::byte> encoded_pcrs(const Quote& quote) {
  std::vector<std::byte> out;
  for (const auto& [pcr, value] : quote.pcrs) {
    out.push_back(static_cast<std::byte>(pcr));
    out.insert(out.end(), value.begin(), value.end());
  }
  return out;
}

} // namespace

VtpmResponse vtpm_refusal(const Error& error) {
  log::warning("a vTPM's request failed: {}", error.message());
  switch (error.code) {
  case ErrorCode::denied:
    return refused(VtpmStatus::denied);
  case ErrorCode::invalid:
    return refused(VtpmStatus::bad_parameter);
  default:
    return refused(VtpmStatus::failed);
  }
}

EvidenceService::EvidenceService(const Manager& manager, Quoter& quoter, Clock clock)
    : manager_(manager), quoter_(quoter), clock_(std::move(clock)),
      all_(host_evidence_burst, host_evidence_pause, clock_()) {}

bool EvidenceService::allow(std::uint64_t vtpm_serial) {
  const Allowance::Time now = clock_();
  // Who has asked for nothing lately is as if never seen: the table stays as small as the traffic.
  std::erase_if(by_vtpm_, [now](const auto& entry) { return entry.second.full(now); });
  const auto own =
      by_vtpm_.try_emplace(vtpm_serial, vtpm_evidence_burst, vtpm_evidence_pause, now).first;
  // Its own first: one vTPM that asks too often takes nothing from the others.
  return own->second.take(now) && all_.take(now);
}

VtpmResponse EvidenceService::host_log(std::span<const std::byte> body) const {
  const auto& log = manager_.ledger().log();
  if (body.size() != sizeof(std::uint32_t))
    return refused(VtpmStatus::bad_parameter);
  const auto first = get_big_endian<std::uint32_t>(body, 0);
  if (first > log.size())
    return refused(VtpmStatus::bad_parameter);
  HostLogPart part{.total = static_cast<std::uint32_t>(log.size()), .first = first, .events = {}};
  const std::size_t end = std::min(log.size(), first + max_part_events);
  for (std::size_t i = first; i < end; ++i)
    part.events.push_back(log[i].digests.sha256);
  return answered(encode(part));
}

Result<std::vector<std::byte>> EvidenceService::quote_for(const LogEvent& guest,
                                                          std::span<const std::byte> nonce,
                                                          const measure::Sha256& key) {
  const measure::Sha256 log = TRY(log_digest(manager_.ledger()));
  const measure::Sha256 qualifying = TRY(guest_quote_qualifier(
      {.nonce = nonce, .record = guest.digests.sha256, .key = key, .log = log}));
  const Quote made = TRY(quoter_.quote(qualifying));
  const auto found = made.pcrs.find(manager_.log_status().pcr);
  if (found == made.pcrs.end() || found->second != manager_.ledger().pcr().sha256)
    return failure(ErrorCode::integrity, "quoting for a guest",
                   "the host PCR is not what the host log adds up to");
  return encode(EvidenceParts{made.attest, made.signature, made.public_key, encoded_pcrs(made)});
}

VtpmResponse EvidenceService::guest_quote(const LogEvent& guest, std::uint64_t vtpm_serial,
                                          std::span<const std::byte> body) {
  const Result<GuestQuoteRequest> request = decode_guest_quote_request(body);
  if (!request)
    return vtpm_refusal(request.error());
  if (request->events != manager_.ledger().log().size())
    return refused(VtpmStatus::log_grew);
  if (!allow(vtpm_serial))
    return refused(VtpmStatus::too_often);
  return answered(quote_for(guest, request->nonce, request->key));
}

// Remembers whether the TPM answered.
Status EvidenceService::asked(Status outcome) {
  failed_.reset();
  if (!outcome)
    failed_ = Failure{outcome.error(), clock_()};
  return outcome;
}

// Again, without asking the TPM, as long as it is to be left alone.
Status EvidenceService::last_failure() const {
  if (!failed_ || clock_() - failed_->at >= identity_retry_pause)
    return {};
  Error error = failed_->error;
  error.why += fmt::format("; it is asked again {} ms after that", identity_retry_pause.count());
  return std::unexpected(std::move(error));
}

// Once: they do not change as long as the TPM is this program's.
Status EvidenceService::read_keys() {
  if (keys_)
    return {};
  TRY(last_failure());
  Result<Endorsement> keys = quoter_.endorsement();
  TRY(asked(keys ? Status{} : std::unexpected(keys.error())));
  if (keys->certificate.size() > max_ek_certificate_bytes)
    keys->certificate.clear();
  keys_ = *std::move(keys);
  return {};
}

Result<HostIdentity> EvidenceService::read_identity() {
  TRY(read_keys());
  const std::span<const std::byte> key = quoter_.attestation_key();
  if (key.size() > max_public_key_bytes || keys_->public_key.size() > max_public_key_bytes)
    return limit_failure("telling the keys of the TPM", "one is too long",
                         fmt::format("{} bytes", max_public_key_bytes));
  TRY(last_failure());
  auto pcrs = quoter_.pcrs();
  TRY(asked(pcrs ? Status{} : std::unexpected(pcrs.error())));
  return HostIdentity{.attestation_key = {key.begin(), key.end()},
                      .endorsement_key = keys_->public_key,
                      .endorsement_certificate = keys_->certificate,
                      .pcrs = *std::move(pcrs)};
}

Result<HostIdentity> EvidenceService::identity() {
  const std::size_t events = manager_.ledger().log().size();
  if (!told_ || told_->log_events != events || clock_() - told_->at >= identity_kept)
    told_ = Told{TRY(read_identity()), events, clock_()};
  return told_->identity;
}

VtpmResponse EvidenceService::host_keys(std::uint64_t vtpm_serial,
                                        std::span<const std::byte> body) {
  if (!body.empty())
    return refused(VtpmStatus::bad_parameter);
  if (!keys_ && !allow(vtpm_serial))
    return refused(VtpmStatus::too_often);
  if (const Status read = read_keys(); !read)
    return vtpm_refusal(read.error());
  return answered(encode(EvidenceParts{keys_->public_key, keys_->certificate}));
}

VtpmResponse EvidenceService::activate(std::uint64_t vtpm_serial, std::span<const std::byte> body) {
  const Result<EvidenceParts> parts = decode_evidence_parts(body, credential_parts);
  if (!parts)
    return vtpm_refusal(parts.error());
  for (const auto& part : *parts)
    if (part.empty() || part.size() > max_credential_part_bytes)
      return refused(VtpmStatus::bad_parameter);
  if (!allow(vtpm_serial))
    return refused(VtpmStatus::too_often);
  const Result<std::vector<std::byte>> secret = quoter_.activate((*parts)[0], (*parts)[1]);
  if (!secret)
    return vtpm_refusal(secret.error());
  return answered(encode(EvidenceParts{*secret}));
}

} // namespace ashlar::tpm
