// SPDX-License-Identifier: LGPL-2.1-or-later
// Encodings (base/wire.hpp). Anchors: u32 count and each certificate's DER as a text, u32 count and
// each revoked fingerprint. Report: u8 1, the digest, u32 count and each signature, u32 count and
// each trust as u8; or u8 0 and the error.
#include "ashlar/inspector/signatures.hpp"

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"
#include "ashlar/signature/limits.hpp"
#include "wire_error.hpp"

namespace ashlar::inspector {

namespace {

constexpr std::size_t max_why_bytes = 512;

void write_name(WireWriter& writer, std::string_view name, std::size_t limit) {
  writer.text(name.substr(0, limit));
}

void write_found(WireWriter& writer, const signature::FoundSignature& found) {
  writer.u8(found.valid ? 1 : 0);
  write_name(writer, found.why, max_why_bytes);
  write_name(writer, found.subject, signature::max_name_bytes);
  write_name(writer, found.issuer, signature::max_name_bytes);
  writer.raw(found.fingerprint);
}

signature::FoundSignature read_found(WireReader& reader) {
  signature::FoundSignature found;
  found.valid = read_flag(reader);
  found.why = printable(reader.text(max_why_bytes), max_why_bytes);
  found.subject = printable(reader.text(signature::max_name_bytes), signature::max_name_bytes);
  found.issuer = printable(reader.text(signature::max_name_bytes), signature::max_name_bytes);
  reader.raw(found.fingerprint);
  return found;
}

signature::Trust read_trust(WireReader& reader) {
  const std::uint8_t value = reader.u8();
  if (value <= static_cast<std::uint8_t>(signature::Trust::revoked))
    return static_cast<signature::Trust>(value);
  reader.reject("an answer about a certificate is unknown");
  return signature::Trust::none;
}

/// A signature that is not valid makes nobody trusted.
void check_consistent(WireReader& reader, const signature::ImageSignatures& signatures) {
  const bool any_valid = std::ranges::any_of(signatures.found, &signature::FoundSignature::valid);
  const bool all_none = std::ranges::all_of(
      signatures.trust, [](signature::Trust trust) { return trust == signature::Trust::none; });
  if (!any_valid && !all_none)
    reader.reject("it trusts an image without a valid signature");
}

signature::ImageSignatures read_signatures(WireReader& reader, std::size_t anchors) {
  signature::ImageSignatures signatures;
  reader.raw(signatures.digest);
  const std::uint32_t count = reader.u32();
  if (count > signature::max_image_signatures)
    reader.reject("it has too many signatures");
  for (std::uint32_t i = 0; i < count && reader.good(); ++i)
    signatures.found.push_back(read_found(reader));
  if (reader.u32() != anchors)
    reader.reject("it is about another number of certificates");
  for (std::size_t i = 0; i < anchors && reader.good(); ++i)
    signatures.trust.push_back(read_trust(reader));
  check_consistent(reader, signatures);
  return signatures;
}

} // namespace

std::vector<std::byte> encode(const signature::Anchors& anchors) {
  WireWriter writer;
  writer.u32(static_cast<std::uint32_t>(anchors.certificates.size()));
  for (const signature::Certificate& certificate : anchors.certificates) {
    const std::vector<std::byte> der = certificate.der();
    writer.text(std::string_view(reinterpret_cast<const char*>(der.data()), der.size()));
  }
  writer.u32(static_cast<std::uint32_t>(anchors.revoked.size()));
  for (const measure::Sha256& fingerprint : anchors.revoked)
    writer.raw(fingerprint);
  return writer.take();
}

Result<signature::Anchors> decode_anchors(std::span<const std::byte> bytes) {
  WireReader reader(bytes);
  signature::Anchors anchors;
  const std::uint32_t certificates = reader.u32();
  if (certificates > signature::max_certificates)
    reader.reject("there are too many certificates");
  for (std::uint32_t i = 0; i < certificates && reader.good(); ++i) {
    const std::string der = reader.text(signature::max_certificate_bytes);
    if (reader.good())
      anchors.certificates.push_back(
          TRY(signature::Certificate::from_der(as_bytes(der), "a certificate of the policy")));
  }
  const std::uint32_t revoked = reader.u32();
  if (revoked > signature::max_revoked_certificates)
    reader.reject("there are too many revoked certificates");
  for (std::uint32_t i = 0; i < revoked && reader.good(); ++i)
    reader.raw(anchors.revoked.emplace_back());
  TRY(reader.end("the policy's certificates"));
  return anchors;
}

std::vector<std::byte> encode(const SignatureReport& report) {
  WireWriter writer;
  if (!report.outcome) {
    write_error(writer, report.outcome.error());
    return writer.take();
  }
  writer.u8(1);
  writer.raw(report.outcome->digest);
  writer.u32(static_cast<std::uint32_t>(report.outcome->found.size()));
  for (const signature::FoundSignature& found : report.outcome->found)
    write_found(writer, found);
  writer.u32(static_cast<std::uint32_t>(report.outcome->trust.size()));
  for (const signature::Trust trust : report.outcome->trust)
    writer.u8(static_cast<std::uint8_t>(trust));
  return writer.take();
}

Result<SignatureReport> decode_signature_report(std::span<const std::byte> bytes,
                                                std::size_t anchors) {
  const std::string what = "the verifier's report";
  if (bytes.size() > max_signature_report_bytes)
    return failure(ErrorCode::invalid, "reading " + what, "it is longer than a report may be");
  WireReader reader(bytes);
  if (read_flag(reader)) {
    SignatureReport report{read_signatures(reader, anchors)};
    TRY(reader.end(what));
    return report;
  }
  SignatureReport report{std::unexpected(read_error(reader))};
  TRY(reader.end(what));
  return report;
}

} // namespace ashlar::inspector
