// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/vtpm/vendor_commands.hpp"

#include <algorithm>
#include <utility>

#include "ashlar/base/log.hpp"
#include "ashlar/measure/event_log.hpp"
#include "ashlar/tpm/evidence_message.hpp"
#include "ashlar/tpm/quote.hpp"
#include "ashlar/vtpm/attestation_key.hpp"
#include "ashlar/vtpm/commands.hpp"
#include "ashlar/vtpm/host_evidence.hpp"

namespace ashlar::vtpm {

namespace {

constexpr std::size_t header_bytes = 10;
constexpr std::size_t size_at = 2;
constexpr std::size_t code_at = 6;
constexpr std::size_t version_at = header_bytes;
constexpr std::size_t operation_at = header_bytes + 1;
constexpr std::size_t arguments_at = header_bytes + 2;

template <typename Number>
Number number_at(std::span<const std::byte> bytes, std::size_t at) {
  Number value = 0;
  for (const std::byte byte : bytes.subspan(at, sizeof value))
    value = static_cast<Number>(value << 8 | std::to_integer<Number>(byte));
  return value;
}

void put(std::vector<std::byte>& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::byte>(value >> shift));
}

void put_item(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  put(out, static_cast<std::uint32_t>(bytes.size()));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

std::vector<std::byte> size_of(std::span<const std::byte> document) {
  std::vector<std::byte> out;
  put(out, static_cast<std::uint32_t>(document.size()));
  return out;
}

std::unexpected<VendorResponse> refuse(VendorResponse code) {
  return std::unexpected(code);
}

/// The guest hears a code; the reason stands in this domain's log.
std::unexpected<VendorResponse> refuse(const Error& error) {
  log::warning("the guest gets no evidence: {}", error.message());
  switch (error.code) {
  case ErrorCode::busy:
    return refuse(VendorResponse::too_often);
  default:
    return refuse(VendorResponse::no_evidence);
  }
}

Result<measure::Sha256> sha256(std::span<const std::byte> bytes) {
  measure::BankStream stream = TRY(measure::BankStream::create(measure::Bank::sha256));
  TRY(stream.update(bytes));
  measure::Digests out;
  TRY(stream.finish(out));
  return out.sha256;
}

} // namespace

bool is_vendor_command(std::span<const std::byte> packet) {
  return packet.size() >= header_bytes &&
         number_at<std::uint32_t>(packet, code_at) == vendor_command_code;
}

VendorCommands::VendorCommands(Engine& engine, Exchange manager, GuestMeasurement measurement,
                               Clock clock)
    : engine_(engine), manager_(std::move(manager)), measurement_(std::move(measurement)),
      clock_(std::move(clock)), allowance_(evidence_burst, evidence_pause, clock_()) {}

std::vector<std::byte> VendorCommands::answer(std::span<const std::byte> packet) {
  const Answer answer = perform(packet);
  if (answer)
    return command(tag_plain, static_cast<std::uint32_t>(VendorResponse::success), *answer);
  return command(tag_plain, static_cast<std::uint32_t>(answer.error()), {});
}

VendorCommands::Answer VendorCommands::perform(std::span<const std::byte> packet) {
  if (packet.size() < arguments_at || number_at<std::uint16_t>(packet, 0) != tag_plain ||
      number_at<std::uint32_t>(packet, size_at) != packet.size() ||
      std::to_integer<std::uint8_t>(packet[version_at]) != vendor_command_version)
    return refuse(VendorResponse::malformed);
  const auto arguments = packet.subspan(arguments_at);
  switch (static_cast<VendorOperation>(packet[operation_at])) {
  case VendorOperation::prepare_log:
    return arguments.empty() ? prepare_log() : refuse(VendorResponse::malformed);
  case VendorOperation::prepare_evidence:
    return prepare_evidence(arguments);
  case VendorOperation::read:
    return read(arguments);
  case VendorOperation::activate:
    return activate(arguments);
  }
  return refuse(VendorResponse::malformed);
}

/// What both documents begin with.
Status VendorCommands::write_measurement(Body& document) const {
  const measure::Record& record = measurement_.record;
  const auto extensions = TRY(measure::extensions_of(measurement_.profile, record.events));
  document.push_back(std::byte{document_version});
  document.push_back(static_cast<std::byte>(measurement_.profile));
  put_item(document, TRY(measure::encode(record)));
  put_item(document, measure::event_log(measurement_.profile, extensions));
  return {};
}

VendorCommands::Answer VendorCommands::prepare_log() {
  document_.clear();
  Body document;
  if (const Status written = write_measurement(document); !written)
    return refuse(written.error());
  document_ = std::move(document);
  return size_of(document_);
}

VendorCommands::Answer VendorCommands::prepare_evidence(std::span<const std::byte> arguments) {
  document_.clear();
  if (arguments.size() != tpm::quote_nonce_bytes + sizeof(std::uint32_t))
    return refuse(VendorResponse::malformed);
  const auto key =
      attestation_key(engine_, number_at<std::uint32_t>(arguments, tpm::quote_nonce_bytes));
  if (!key) {
    log::warning("the guest gets no evidence: {}", key.error().message());
    return refuse(VendorResponse::unfit_key);
  }
  if (!allowance_.take(clock_()))
    return refuse(VendorResponse::too_often);
  const Result<measure::Sha256> digest = sha256(*key);
  if (!digest)
    return refuse(digest.error());
  const Result<HostEvidence> host =
      fetch_host_evidence(manager_, arguments.first(tpm::quote_nonce_bytes), *digest);
  if (!host)
    return refuse(host.error());
  Body document;
  if (const Status written = write_measurement(document); !written)
    return refuse(written.error());
  for (const Body* item : {&host->log, &host->attest, &host->signature, &host->key, &host->pcrs,
                           &host->ek, &host->certificate})
    put_item(document, *item);
  document_ = std::move(document);
  return size_of(document_);
}

VendorCommands::Answer VendorCommands::read(std::span<const std::byte> arguments) const {
  if (arguments.size() != sizeof(std::uint32_t))
    return refuse(VendorResponse::malformed);
  const auto offset = number_at<std::uint32_t>(arguments, 0);
  if (offset >= document_.size())
    return refuse(VendorResponse::not_prepared);
  const auto rest = std::span(document_).subspan(offset);
  const auto part = rest.first(std::min(rest.size(), max_document_part_bytes));
  return Body(part.begin(), part.end());
}

VendorCommands::Answer VendorCommands::activate(std::span<const std::byte> arguments) {
  if (!tpm::decode_evidence_parts(arguments, tpm::credential_parts))
    return refuse(VendorResponse::malformed);
  if (!allowance_.take(clock_()))
    return refuse(VendorResponse::too_often);
  Result<Body> secret = activate_credential(manager_, arguments);
  if (!secret)
    return refuse(secret.error());
  return *std::move(secret);
}

} // namespace ashlar::vtpm
