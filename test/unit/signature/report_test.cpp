// SPDX-License-Identifier: LGPL-2.1-or-later
// What passes between the broker and the verifier.
#include <doctest/doctest.h>

#include "../vendor_certificate.hpp"
#include "ashlar/base/wire.hpp"
#include "ashlar/inspector/signatures.hpp"
#include "ashlar/signature/limits.hpp"

using namespace ashlar;
using namespace ashlar::inspector;
using namespace ashlar::signature;

namespace {

ImageSignatures trusted() {
  ImageSignatures signatures;
  signatures.digest.fill(std::byte{0x11});
  signatures.found = {{.valid = true,
                       .why = {},
                       .subject = "CN=a",
                       .issuer = "CN=b",
                       .fingerprint = {},
                       .public_key = {}}};
  signatures.found[0].public_key.fill(std::byte{0x33});
  signatures.trust = {Trust::unfit, Trust::trusted, Trust::revoked};
  return signatures;
}

SignatureReport about(ImageSignatures inside) {
  return {std::move(inside), {}};
}

DetachedSignature detached() {
  DetachedSignature signature{
      .subject = "CN=s", .issuer = "CN=i", .fingerprint = {}, .public_key = {}, .trust = {}};
  signature.fingerprint.fill(std::byte{0x22});
  signature.public_key.fill(std::byte{0x44});
  signature.trust = {Trust::trusted, Trust::none, Trust::revoked};
  return signature;
}

} // namespace

TEST_CASE("verifier's report: what is written is what is read") {
  const auto report = decode_signature_report(encode(about(trusted())), 3, 0);
  REQUIRE(report);
  REQUIRE(report->inside);
  CHECK(report->inside->digest == trusted().digest);
  CHECK(report->inside->trust == trusted().trust);
  CHECK_FALSE(report->inside->unified);
  REQUIRE(report->inside->found.size() == 1);
  CHECK(report->inside->found[0].valid);
  CHECK(report->inside->found[0].subject == "CN=a");
  CHECK(report->inside->found[0].public_key == trusted().found[0].public_key);
  const auto refused = decode_signature_report(
      encode({failure(ErrorCode::unsupported, "reading it", "no PE image"), {}}), 3, 0);
  REQUIRE(refused);
  REQUIRE(!refused->inside);
  CHECK(refused->inside.error().why == "no PE image");
}

TEST_CASE("verifier's report: signatures that were brought, right ones and wrong ones in order") {
  SignatureReport written = about(trusted());
  written.brought = {failure(ErrorCode::integrity, "verifying it", "for another image"),
                     detached()};
  const auto bytes = encode(written);
  const auto report = decode_signature_report(bytes, 3, 2);
  REQUIRE(report);
  REQUIRE(report->brought.size() == 2);
  REQUIRE(!report->brought[0]);
  CHECK(report->brought[0].error().code == ErrorCode::integrity);
  REQUIRE(report->brought[1]);
  CHECK(report->brought[1]->subject == "CN=s");
  CHECK(report->brought[1]->fingerprint == detached().fingerprint);
  CHECK(report->brought[1]->public_key == detached().public_key);
  CHECK(report->brought[1]->trust == detached().trust);
  for (const std::size_t other : {0U, 1U, 3U})
    CHECK_FALSE(decode_signature_report(bytes, 3, other).has_value());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_FALSE(decode_signature_report(std::span(bytes).first(size), 3, 2).has_value());
  written.brought.pop_back();
  DetachedSignature few = detached();
  few.trust.pop_back();
  written.brought.emplace_back(few);
  CHECK_FALSE(decode_signature_report(encode(written), 3, 2).has_value());
}

TEST_CASE("verifier's report: the longest that there can be is within its limit") {
  ImageSignatures inside = trusted();
  inside.found.assign(max_image_signatures, {.valid = false,
                                             .why = std::string(1024, 'w'),
                                             .subject = std::string(1024, 's'),
                                             .issuer = std::string(1024, 'i'),
                                             .fingerprint = {},
                                             .public_key = {}});
  inside.trust.assign(max_certificates, Trust::none);
  SignatureReport report = about(inside);
  report.brought.assign(
      max_request_signatures,
      failure(ErrorCode::integrity, std::string(2048, 'd'), std::string(2048, 'w')));
  const auto bytes = encode(report);
  CHECK(bytes.size() <= max_signature_report_bytes);
  CHECK(decode_signature_report(bytes, max_certificates, max_request_signatures).has_value());
}

TEST_CASE("verifier's report: one about another number of certificates is refused") {
  CHECK_FALSE(decode_signature_report(encode(about(trusted())), 2, 0).has_value());
  CHECK_FALSE(decode_signature_report(encode(about(trusted())), 4, 0).has_value());
}

TEST_CASE("verifier's report: no trust without a valid signature") {
  for (const Trust claim : {Trust::trusted, Trust::revoked, Trust::unfit}) {
    ImageSignatures lie = trusted();
    lie.trust = {claim};
    lie.found[0].valid = false;
    CHECK_FALSE(decode_signature_report(encode(about(lie)), 1, 0).has_value());
    lie.found.clear();
    CHECK_FALSE(decode_signature_report(encode(about(lie)), 1, 0).has_value());
  }
}

TEST_CASE("verifier's report: one that is cut, goes on, or holds unknown words is refused") {
  const auto good = encode(about(trusted()));
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK_FALSE(decode_signature_report(std::span(good).first(size), 3, 0).has_value());
  auto longer = good;
  longer.push_back(std::byte{0});
  CHECK_FALSE(decode_signature_report(longer, 3, 0).has_value());
  auto unknown = good;
  unknown.at(good.size() - 5) =
      std::byte{last_trust + 1}; // the last trust, before the number of those brought
  CHECK_FALSE(decode_signature_report(unknown, 3, 0).has_value());
  CHECK_FALSE(decode_signature_report(std::vector<std::byte>(max_signature_report_bytes + 1), 3, 0)
                  .has_value());
}

TEST_CASE("verifier's report: what it says of names cannot reach a terminal unchanged") {
  ImageSignatures loud = trusted();
  loud.found[0].subject = "CN=\x1b[2J";
  const auto report = decode_signature_report(encode(about(loud)), 3, 0);
  REQUIRE(report);
  CHECK(report->inside->found[0].subject == "CN=\\x1b[2J");
}

TEST_CASE("verifier's question: what is written is what is read, and no more than the limits") {
  SignatureQuestion question;
  question.anchors = {.certificates = {Certificate::from_pem(vendor_certificate, "it").value()},
                      .revoked = {measure::Sha256{}},
                      .revoked_keys = {detached().public_key},
                      .code_only = {detached().fingerprint}};
  question.look_inside = false;
  question.brought = {{.sha256 = trusted().digest, .message = {std::byte{1}, std::byte{2}}}};
  const auto bytes = encode(question);
  const auto read = decode_question(bytes);
  REQUIRE(read);
  REQUIRE(read->anchors.certificates.size() == 1);
  CHECK(read->anchors.certificates[0].fingerprint() ==
        question.anchors.certificates[0].fingerprint());
  CHECK(read->anchors.revoked == question.anchors.revoked);
  CHECK(read->anchors.revoked_keys == question.anchors.revoked_keys);
  CHECK(read->anchors.code_only == question.anchors.code_only);
  CHECK_FALSE(read->look_inside);
  REQUIRE(read->brought.size() == 1);
  CHECK(read->brought[0].sha256 == trusted().digest);
  CHECK(read->brought[0].message == question.brought[0].message);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_FALSE(decode_question(std::span(bytes).first(size)).has_value());
  WireWriter many;
  many.u32(65);
  CHECK_FALSE(decode_question(many.bytes()).has_value());
  SignatureQuestion long_lists = question;
  long_lists.anchors.revoked_keys.resize(max_revoked_keys + 1);
  CHECK_FALSE(decode_question(encode(long_lists)).has_value());
  long_lists.anchors.revoked_keys.resize(max_revoked_keys);
  CHECK(decode_question(encode(long_lists)).has_value());
  long_lists.anchors.code_only.resize(max_certificates + 1);
  CHECK_FALSE(decode_question(encode(long_lists)).has_value());
  question.brought[0].message.resize(max_request_signature_bytes + 1);
  CHECK_FALSE(decode_question(encode(question)).has_value());
  question.brought.assign(max_request_signatures + 1, {});
  CHECK_FALSE(decode_question(encode(question)).has_value());
}
