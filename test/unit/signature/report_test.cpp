// SPDX-License-Identifier: LGPL-2.1-or-later
// What passes between the broker and the verifier.
#include <doctest/doctest.h>

#include "../vendor_certificate.hpp"
#include "ashlar/base/wire.hpp"
#include "ashlar/inspector/signatures.hpp"

using namespace ashlar;
using namespace ashlar::inspector;
using namespace ashlar::signature;

namespace {

ImageSignatures trusted() {
  ImageSignatures signatures;
  signatures.digest.fill(std::byte{0x11});
  signatures.found = {
      {.valid = true, .why = {}, .subject = "CN=a", .issuer = "CN=b", .fingerprint = {}}};
  signatures.trust = {Trust::none, Trust::trusted, Trust::revoked};
  return signatures;
}

} // namespace

TEST_CASE("verifier's report: what is written is what is read") {
  const auto report = decode_signature_report(encode({trusted()}), 3);
  REQUIRE(report);
  REQUIRE(report->outcome);
  CHECK(report->outcome->digest == trusted().digest);
  CHECK(report->outcome->trust == trusted().trust);
  REQUIRE(report->outcome->found.size() == 1);
  CHECK(report->outcome->found[0].valid);
  CHECK(report->outcome->found[0].subject == "CN=a");
  const auto refused = decode_signature_report(
      encode({failure(ErrorCode::unsupported, "reading it", "no PE image")}), 3);
  REQUIRE(refused);
  REQUIRE(!refused->outcome);
  CHECK(refused->outcome.error().why == "no PE image");
}

TEST_CASE("verifier's report: one about another number of certificates is refused") {
  CHECK_FALSE(decode_signature_report(encode({trusted()}), 2).has_value());
  CHECK_FALSE(decode_signature_report(encode({trusted()}), 4).has_value());
}

TEST_CASE("verifier's report: no trust without a valid signature") {
  for (const Trust claim : {Trust::trusted, Trust::revoked}) {
    ImageSignatures lie = trusted();
    lie.trust = {claim};
    lie.found[0].valid = false;
    CHECK_FALSE(decode_signature_report(encode({lie}), 1).has_value());
    lie.found.clear();
    CHECK_FALSE(decode_signature_report(encode({lie}), 1).has_value());
  }
}

TEST_CASE("verifier's report: one that is cut, goes on, or holds unknown words is refused") {
  const auto good = encode({trusted()});
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK_FALSE(decode_signature_report(std::span(good).first(size), 3).has_value());
  auto longer = good;
  longer.push_back(std::byte{0});
  CHECK_FALSE(decode_signature_report(longer, 3).has_value());
  auto unknown = good;
  unknown.back() = std::byte{3};
  CHECK_FALSE(decode_signature_report(unknown, 3).has_value());
  CHECK_FALSE(decode_signature_report(std::vector<std::byte>(max_signature_report_bytes + 1), 3)
                  .has_value());
}

TEST_CASE("verifier's report: what it says of names cannot reach a terminal unchanged") {
  ImageSignatures loud = trusted();
  loud.found[0].subject = "CN=\x1b[2J";
  const auto report = decode_signature_report(encode({loud}), 3);
  REQUIRE(report);
  CHECK(report->outcome->found[0].subject == "CN=\\x1b[2J");
}

TEST_CASE("anchors: what is written is what is read, and no more than the limits") {
  const Anchors anchors{.certificates = {Certificate::from_pem(vendor_certificate, "it").value()},
                        .revoked = {measure::Sha256{}}};
  const auto bytes = encode(anchors);
  const auto read = decode_anchors(bytes);
  REQUIRE(read);
  REQUIRE(read->certificates.size() == 1);
  CHECK(read->certificates[0].fingerprint() == anchors.certificates[0].fingerprint());
  CHECK(read->revoked == anchors.revoked);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_FALSE(decode_anchors(std::span(bytes).first(size)).has_value());
  WireWriter many;
  many.u32(65);
  CHECK_FALSE(decode_anchors(many.bytes()).has_value());
}
