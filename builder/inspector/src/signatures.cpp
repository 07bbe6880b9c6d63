// SPDX-License-Identifier: LGPL-2.1-or-later
// Encodings (base/wire.hpp). Question: u32 count and each certificate's DER as a text, u32 count
// and each revoked fingerprint, u32 count and each revoked key, u32 count and the fingerprint of
// each certificate that is for signers of code alone, u8 1 to look inside or 0, u32 count and each
// signature's digest and message. Report: u8 1, the digest, u8 unified, u32 count and each
// signature, u32 count and each trust as u8, or u8 0 and the error; then u32 count and for each
// signature brought u8 1, subject, issuer, fingerprint, public key, u32 count and each trust, or u8
// 0 and the error.
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
  writer.raw(found.public_key);
}

signature::FoundSignature read_found(WireReader& reader) {
  signature::FoundSignature found;
  found.valid = read_flag(reader);
  found.why = printable(reader.text(max_why_bytes), max_why_bytes);
  found.subject = printable(reader.text(signature::max_name_bytes), signature::max_name_bytes);
  found.issuer = printable(reader.text(signature::max_name_bytes), signature::max_name_bytes);
  reader.raw(found.fingerprint);
  reader.raw(found.public_key);
  return found;
}

void write_trust(WireWriter& writer, const std::vector<signature::Trust>& all) {
  writer.u32(static_cast<std::uint32_t>(all.size()));
  for (const signature::Trust trust : all)
    writer.u8(static_cast<std::uint8_t>(trust));
}

signature::Trust read_trust(WireReader& reader) {
  const std::uint8_t value = reader.u8();
  if (value <= signature::last_trust)
    return static_cast<signature::Trust>(value);
  reader.reject("an answer about a certificate is unknown");
  return signature::Trust::none;
}

std::vector<signature::Trust> read_all_trust(WireReader& reader, std::size_t anchors) {
  std::vector<signature::Trust> all;
  if (reader.u32() != anchors)
    reader.reject("it is about another number of certificates");
  for (std::size_t i = 0; i < anchors && reader.good(); ++i)
    all.push_back(read_trust(reader));
  return all;
}

/// A signature that is not valid makes nobody trusted.
void check_consistent(WireReader& reader, const signature::ImageSignatures& signatures) {
  const bool any_valid = std::ranges::any_of(signatures.found, &signature::FoundSignature::valid);
  const bool all_none = std::ranges::all_of(
      signatures.trust, [](signature::Trust trust) { return trust == signature::Trust::none; });
  if (!any_valid && !all_none)
    reader.reject("it trusts an image without a valid signature");
}

void write(WireWriter& writer, const signature::ImageSignatures& inside) {
  writer.u8(1);
  writer.raw(inside.digest);
  writer.u8(inside.unified ? 1 : 0);
  writer.u32(static_cast<std::uint32_t>(inside.found.size()));
  for (const signature::FoundSignature& found : inside.found)
    write_found(writer, found);
  write_trust(writer, inside.trust);
}

signature::ImageSignatures read_signatures(WireReader& reader, std::size_t anchors) {
  signature::ImageSignatures signatures;
  reader.raw(signatures.digest);
  signatures.unified = read_flag(reader);
  const std::uint32_t count = reader.u32();
  if (count > signature::max_image_signatures)
    reader.reject("it has too many signatures");
  for (std::uint32_t i = 0; i < count && reader.good(); ++i)
    signatures.found.push_back(read_found(reader));
  signatures.trust = read_all_trust(reader, anchors);
  check_consistent(reader, signatures);
  return signatures;
}

void write(WireWriter& writer, const signature::DetachedSignature& brought) {
  writer.u8(1);
  write_name(writer, brought.subject, signature::max_name_bytes);
  write_name(writer, brought.issuer, signature::max_name_bytes);
  writer.raw(brought.fingerprint);
  writer.raw(brought.public_key);
  write_trust(writer, brought.trust);
}

signature::DetachedSignature read_brought(WireReader& reader, std::size_t anchors) {
  signature::DetachedSignature brought;
  brought.subject = printable(reader.text(signature::max_name_bytes), signature::max_name_bytes);
  brought.issuer = printable(reader.text(signature::max_name_bytes), signature::max_name_bytes);
  reader.raw(brought.fingerprint);
  reader.raw(brought.public_key);
  brought.trust = read_all_trust(reader, anchors);
  return brought;
}

std::string_view as_text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write(WireWriter& writer, const std::vector<measure::Sha256>& digests) {
  writer.u32(static_cast<std::uint32_t>(digests.size()));
  for (const measure::Sha256& digest : digests)
    writer.raw(digest);
}

std::vector<measure::Sha256> read_digests(WireReader& reader, std::size_t limit, const char* what) {
  std::vector<measure::Sha256> digests;
  const std::uint32_t count = reader.u32();
  if (count > limit)
    reader.reject(std::string("there are too many ") + what);
  for (std::uint32_t i = 0; i < count && reader.good(); ++i)
    reader.raw(digests.emplace_back());
  return digests;
}

void write(WireWriter& writer, const signature::Anchors& anchors) {
  writer.u32(static_cast<std::uint32_t>(anchors.certificates.size()));
  for (const signature::Certificate& certificate : anchors.certificates) {
    writer.text(as_text(certificate.der()));
  }
  write(writer, anchors.revoked);
  write(writer, anchors.revoked_keys);
  write(writer, anchors.code_only);
}

Result<signature::Anchors> read_anchors(WireReader& reader) {
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
  anchors.revoked =
      read_digests(reader, signature::max_revoked_certificates, "revoked certificates");
  anchors.revoked_keys = read_digests(reader, signature::max_revoked_keys, "revoked keys");
  anchors.code_only =
      read_digests(reader, signature::max_certificates, "certificates for signers of code");
  return anchors;
}

std::vector<BroughtSignature> read_brought_signatures(WireReader& reader) {
  const std::uint32_t count = reader.u32();
  if (count > signature::max_request_signatures)
    reader.reject("there are too many signatures");
  std::vector<BroughtSignature> all;
  for (std::uint32_t i = 0; i < count && reader.good(); ++i) {
    BroughtSignature& one = all.emplace_back();
    reader.raw(one.sha256);
    const std::string message = reader.text(signature::max_request_signature_bytes);
    const std::span<const std::byte> bytes = as_bytes(message);
    one.message.assign(bytes.begin(), bytes.end());
  }
  return all;
}

} // namespace

std::vector<std::byte> encode(const SignatureQuestion& question) {
  WireWriter writer;
  write(writer, question.anchors);
  writer.u8(question.look_inside ? 1 : 0);
  writer.u32(static_cast<std::uint32_t>(question.brought.size()));
  for (const BroughtSignature& brought : question.brought) {
    writer.raw(brought.sha256);
    writer.text(as_text(brought.message));
  }
  return writer.take();
}

Result<SignatureQuestion> decode_question(std::span<const std::byte> bytes) {
  WireReader reader(bytes);
  SignatureQuestion question;
  question.anchors = TRY(read_anchors(reader));
  question.look_inside = read_flag(reader);
  question.brought = read_brought_signatures(reader);
  TRY(reader.end("the question about signatures"));
  return question;
}

std::vector<std::byte> encode(const SignatureReport& report) {
  WireWriter writer;
  if (report.inside)
    write(writer, *report.inside);
  else
    write_error(writer, report.inside.error());
  writer.u32(static_cast<std::uint32_t>(report.brought.size()));
  for (const Result<signature::DetachedSignature>& brought : report.brought)
    if (brought)
      write(writer, *brought);
    else
      write_error(writer, brought.error());
  return writer.take();
}

Result<SignatureReport> decode_signature_report(std::span<const std::byte> bytes,
                                                std::size_t anchors, std::size_t brought) {
  const std::string what = "the verifier's report";
  if (bytes.size() > max_signature_report_bytes)
    return failure(ErrorCode::invalid, "reading " + what, "it is longer than a report may be");
  WireReader reader(bytes);
  SignatureReport report{signature::ImageSignatures{}, {}};
  if (read_flag(reader))
    report.inside = read_signatures(reader, anchors);
  else
    report.inside = std::unexpected(read_error(reader));
  if (reader.u32() != brought)
    reader.reject("it is about another number of signatures");
  for (std::size_t i = 0; i < brought && reader.good(); ++i) {
    if (read_flag(reader))
      report.brought.emplace_back(read_brought(reader, anchors));
    else
      report.brought.emplace_back(std::unexpected(read_error(reader)));
  }
  TRY(reader.end(what));
  return report;
}

} // namespace ashlar::inspector
