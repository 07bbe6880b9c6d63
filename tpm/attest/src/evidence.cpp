// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/attest/evidence.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "ashlar/attest/archive.hpp"
#include "ashlar/base/bytes.hpp"

namespace ashlar::attest {

namespace {

using vtpm::DocumentItem;
using vtpm::VendorOperation;

constexpr std::uint16_t tag_plain = 0x8001;
constexpr std::uint32_t rc_command_code = 0x143; // a TPM that has no such command
constexpr const char* doing = "asking the vTPM for evidence";
constexpr std::size_t status_at = 6;

/// A profile that evidence can be given for.
struct Profile {
  const char* name;
  std::vector<std::uint32_t> pcrs; // rising
};
Result<Profile> profile_of(std::uint8_t number) {
  switch (number) {
  case 0:
    return Profile{.name = "uapi", .pcrs = {9, 11, 12}};
  case 1:
    return Profile{.name = "grub", .pcrs = {8, 9}};
  default:
    return failure(ErrorCode::unsupported, "attesting",
                   fmt::format("PCR profile {} has no SHA-256 values: build the guest with uapi or "
                               "grub",
                               number == 2 ? "pv-grub" : std::to_string(number)));
  }
}

std::unexpected<Error> refused(std::uint32_t status) {
  const auto fail = [status](ErrorCode code, const char* why) {
    return failure(code, doing, fmt::format("{} (response code {:#x})", why, status));
  };
  if (status == rc_command_code)
    return fail(ErrorCode::unsupported, "this TPM is not a vTPM of Ashlar's, or an older one");
  switch (static_cast<vtpm::VendorResponse>(status)) {
  case vtpm::VendorResponse::too_often:
    return fail(ErrorCode::busy, "it was asked too often: try again in a minute");
  case vtpm::VendorResponse::unfit_key:
    return fail(ErrorCode::denied, "it does not take the attestation key for one of its own");
  case vtpm::VendorResponse::no_evidence:
    return fail(ErrorCode::denied,
                "the host's TPM Manager refuses, or its TPM fails; its log says why");
  default:
    return fail(ErrorCode::invalid, "it refuses the command");
  }
}

Result<Bytes> ask(const Exchange& exchange, VendorOperation operation,
                  std::span<const std::byte> arguments) {
  Bytes command;
  constexpr std::size_t head_bytes = 12;
  put(command, tag_plain);
  put(command, static_cast<std::uint32_t>(head_bytes + arguments.size()));
  put(command, vtpm::vendor_command_code);
  put(command, vtpm::vendor_command_version);
  put(command, static_cast<std::uint8_t>(operation));
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Bytes answer = TRY(exchange(command));
  TRY(require_tpm20(answer));
  Reader reader(answer, doing);
  TRY(reader.take(status_at));
  const std::uint32_t status = TRY(reader.number(sizeof(std::uint32_t)));
  if (status != 0)
    return refused(status);
  return reader.take(reader.left());
}

Result<Bytes> read_document(const Exchange& exchange, std::span<const std::byte> prepared) {
  Reader reader(prepared, doing);
  const std::size_t size = TRY(reader.number(sizeof(std::uint32_t)));
  if (size > vtpm::max_document_bytes)
    return limit_failure(doing, fmt::format("its answer has {} bytes", size),
                         fmt::format("{} bytes", vtpm::max_document_bytes));
  Bytes document;
  while (document.size() < size) {
    Bytes offset;
    put(offset, static_cast<std::uint32_t>(document.size()));
    const Bytes part = TRY(ask(exchange, VendorOperation::read, offset));
    if (part.empty() || part.size() > size - document.size())
      return failure(ErrorCode::invalid, doing, "its answer has another size than it said");
    document.insert(document.end(), part.begin(), part.end());
  }
  return document;
}

Result<Document> read_items(std::span<const std::byte> bytes, std::size_t count) {
  Reader reader(bytes, doing);
  if (TRY(reader.number(1)) != vtpm::document_version)
    return failure(ErrorCode::unsupported, doing, "its answer is of a version unknown here");
  Document document;
  document.profile = static_cast<std::uint8_t>(TRY(reader.number(1)));
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t size = TRY(reader.number(sizeof(std::uint32_t)));
    document.items.push_back(TRY(reader.take(size)));
  }
  if (reader.left() != 0)
    return failure(ErrorCode::invalid, doing, "something follows its answer");
  return document;
}

Result<Document> fetch(const Exchange& exchange, VendorOperation operation,
                       std::span<const std::byte> arguments, std::size_t items) {
  const Bytes prepared = TRY(ask(exchange, operation, arguments));
  const Bytes document = TRY(read_document(exchange, prepared));
  return read_items(document, items);
}

void add_pcr(std::string& text, std::uint32_t pcr, std::span<const std::byte> value) {
  fmt::format_to(std::back_inserter(text), "sha256:{} {}\n", pcr, to_hex(value));
}

/// The host's PCRs as text, from u8 number and 32 bytes each.
Result<std::string> host_pcr_text(const Bytes& item) {
  Reader reader(item, doing);
  std::string text;
  while (reader.left() != 0) {
    const std::uint32_t pcr = TRY(reader.number(1));
    const Bytes value = TRY(reader.take(Sha256().size()));
    add_pcr(text, pcr, value);
  }
  return text;
}

/// docs/attestation.md has the files and their order.
Result<Bytes> write_bundle(const Document& document, const Profile& profile,
                           std::span<const std::byte> nonce, const AttestationKey& key,
                           const PcrQuote& quote) {
  const std::string host_pcrs = TRY(host_pcr_text(document.of(DocumentItem::host_pcrs)));
  std::string guest_pcrs;
  for (const auto& [pcr, value] : quote.pcrs)
    add_pcr(guest_pcrs, pcr, value);
  const std::string manifest = fmt::format("ashlar-evidence=1\nnonce={}\nprofile={}\nvtpm=2.0\n",
                                           to_hex(nonce), profile.name);
  Archive archive;
  archive.add("manifest", as_bytes(manifest));
  archive.add("record", document.of(DocumentItem::record));
  archive.add("host.log", document.of(DocumentItem::host_log));
  archive.add("host.quote.msg", document.of(DocumentItem::host_attest));
  archive.add("host.quote.sig", document.of(DocumentItem::host_signature));
  archive.add("host.ak.pub", document.of(DocumentItem::host_key));
  archive.add("host.pcrs", as_bytes(host_pcrs));
  archive.add("host.ek.pub", document.of(DocumentItem::host_ek));
  if (!document.of(DocumentItem::host_certificate).empty())
    archive.add("host.ek.crt", document.of(DocumentItem::host_certificate));
  archive.add("guest.quote.msg", quote.attest);
  archive.add("guest.quote.sig", quote.signature);
  archive.add("guest.ak.pub", key.public_key);
  archive.add("guest.pcrs", as_bytes(guest_pcrs));
  archive.add("guest.log", document.of(DocumentItem::event_log));
  return archive.finish();
}

Result<Bytes> make_bundle_with(const Exchange& exchange, std::span<const std::byte> nonce,
                               const AttestationKey& key) {
  const Document document = TRY(fetch_evidence(exchange, nonce, key));
  const Profile profile = TRY(profile_of(document.profile));
  const PcrQuote made = TRY(quote(exchange, key, nonce, profile.pcrs));
  return write_bundle(document, profile, nonce, key, made);
}

} // namespace

Result<Document> fetch_log(const Exchange& exchange) {
  return fetch(exchange, VendorOperation::prepare_log, {}, vtpm::log_document_items);
}

Result<Document> fetch_evidence(const Exchange& exchange, std::span<const std::byte> nonce,
                                const AttestationKey& key) {
  Bytes arguments(nonce.begin(), nonce.end());
  put(arguments, key.handle);
  return fetch(exchange, VendorOperation::prepare_evidence, arguments,
               vtpm::evidence_document_items);
}

Result<Bytes> activate(const Exchange& exchange, std::span<const std::byte> credential_file) {
  // tpm2-tools: a magic number and a version, then TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET.
  constexpr std::uint32_t magic = 0xbadcc0de;
  constexpr std::uint32_t version = 1;
  const std::string reading = "reading the credential";
  Reader reader(credential_file, reading);
  const Result<std::uint32_t> first = reader.number(sizeof magic);
  const Result<std::uint32_t> second = reader.number(sizeof version);
  if (!first || !second || *first != magic || *second != version)
    return failure(ErrorCode::invalid, reading, "it is no file of tpm2_makecredential");
  Bytes arguments;
  for (int part = 0; part < 2; ++part) {
    const std::uint32_t size = TRY(reader.number(sizeof(std::uint16_t)));
    const Bytes content = TRY(reader.take(size));
    put(arguments, static_cast<std::uint16_t>(size + sizeof(std::uint16_t)));
    put(arguments, static_cast<std::uint16_t>(size));
    arguments.insert(arguments.end(), content.begin(), content.end());
  }
  if (reader.left() != 0)
    return failure(ErrorCode::invalid, reading, "something follows it");
  const Bytes answer = TRY(ask(exchange, VendorOperation::activate, arguments));
  Reader secret(answer, doing);
  const std::uint32_t size = TRY(secret.number(sizeof(std::uint16_t)));
  return secret.take(size);
}

Result<Bytes> make_bundle(const Exchange& exchange, std::span<const std::byte> nonce) {
  const AttestationKey key = TRY(make_attestation_key(exchange));
  Result<Bytes> bundle = make_bundle_with(exchange, nonce, key);
  const Status flushed = flush(exchange, key);
  if (bundle && !flushed)
    return std::unexpected(flushed.error());
  return bundle;
}

} // namespace ashlar::attest
