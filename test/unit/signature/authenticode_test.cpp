// SPDX-License-Identifier: LGPL-2.1-or-later
// Signatures inside PE images, against files that sbsign and osslsigncode make here.
#include <doctest/doctest.h>

#include <algorithm>

#include "ashlar/signature/authenticode.hpp"
#include "pe_image.hpp"

using namespace ashlar;
using namespace ashlar::signature;
using namespace ashlar::signature::test;

namespace {

/// A CA, a signer that it has issued, a stranger, and an image that sbsign and osslsigncode signed.
struct Signed {
  Workplace place;
  Signed() {
    write(place.path("image"), pe_image());
    run(place.path(), R"(
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj '/CN=Test CA'
openssl req -x509 -newkey rsa:2048 -nodes -keyout stranger.key -out stranger.pem -subj '/CN=Test CA'
openssl req -newkey rsa:2048 -nodes -keyout signer.key -out signer.csr -subj '/CN=Test signer'
openssl x509 -req -in signer.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out signer.pem
sbsign --key signer.key --cert signer.pem --output by-sbsign image
osslsigncode sign -certs signer.pem -key signer.key -h sha384 -in image -out by-osslsigncode
)");
  }
  [[nodiscard]] Anchors anchors(const std::vector<std::string>& names) const {
    Anchors anchors;
    for (const std::string& name : names) {
      const auto certificate = Certificate::from_pem(text_file(place.path(name)), name);
      REQUIRE(certificate);
      anchors.certificates.push_back(*certificate);
    }
    return anchors;
  }
  [[nodiscard]] Bytes by_sbsign() const { return file(place.path("by-sbsign")); }
};

const std::vector<std::string> all_three = {"ca.pem", "signer.pem", "stranger.pem"};

/// The one signature that check_image() finds.
FoundSignature only(const Bytes& image, const Anchors& anchors = {}) {
  const auto found = check_image(image, anchors);
  REQUIRE(found);
  REQUIRE(found->found.size() == 1);
  return found->found.front();
}

std::string refusal(const Bytes& image) {
  const auto found = check_image(image, {});
  REQUIRE(!found);
  return found.error().why;
}

} // namespace

TEST_CASE(
    "authenticode: sbsign's and osslsigncode's signatures lead to the signer and its issuer") {
  const Signed signed_image;
  for (const char* name : {"by-sbsign", "by-osslsigncode"}) {
    CAPTURE(name);
    const auto found =
        check_image(file(signed_image.place.path(name)), signed_image.anchors(all_three));
    REQUIRE(found);
    REQUIRE(found->found.size() == 1);
    CHECK(found->found[0].valid);
    CHECK(found->found[0].why.empty());
    CHECK(found->found[0].subject == "CN=Test signer");
    CHECK(found->found[0].issuer == "CN=Test CA");
    CHECK(found->trust == std::vector{Trust::trusted, Trust::trusted, Trust::none});
    // sbsign may pad the file: the digest is that of what was signed.
    CHECK(found->digest != measure::Sha256{});
  }
}

TEST_CASE("authenticode: each byte is covered but the checksum") {
  const Signed signed_image;
  const Anchors anchors = signed_image.anchors({"ca.pem"});
  const Bytes good = signed_image.by_sbsign();
  for (const std::size_t at : {std::size_t{2}, headers_bytes - 1, headers_bytes,
                               headers_bytes + 700, headers_bytes + 2 * section_data_bytes - 1}) {
    CAPTURE(at);
    Bytes changed = good;
    changed[at] ^= std::byte{1};
    const auto found = check_image(changed, anchors);
    REQUIRE(found);
    CHECK_FALSE(found->found.at(0).valid);
    CHECK(found->found[0].why.find("changed after it was signed") != std::string::npos);
    CHECK(found->trust == std::vector{Trust::none});
  }
  Bytes checksum = good;
  checksum[checksum_at] ^= std::byte{1};
  CHECK(only(checksum, anchors).valid);
}

TEST_CASE("authenticode: a signature whose own bytes are changed is wrong") {
  const Signed signed_image;
  const Anchors anchors = signed_image.anchors({"ca.pem"});
  Bytes changed = signed_image.by_sbsign();
  const std::size_t table = word(changed, table_place_at);
  const std::size_t end = table + word(changed, table);
  changed[end - 20] ^= std::byte{1}; // within the encrypted digest, which comes last
  const auto found = check_image(changed, anchors);
  REQUIRE(found);
  CHECK_FALSE(found->found.at(0).valid);
  CHECK(found->trust == std::vector{Trust::none});
}

TEST_CASE("authenticode: a revoked certificate counts wherever it stands in the chain") {
  const Signed signed_image;
  for (const char* name : {"ca.pem", "signer.pem"}) {
    CAPTURE(name);
    Anchors anchors = signed_image.anchors({"ca.pem"});
    anchors.revoked = {signed_image.anchors({name}).certificates[0].fingerprint()};
    const auto found = check_image(signed_image.by_sbsign(), anchors);
    REQUIRE(found);
    CHECK(found->found.at(0).valid);
    CHECK(found->trust == std::vector{Trust::revoked});
  }
}

TEST_CASE("authenticode: a revoked public key counts wherever it stands in the chain") {
  const Signed signed_image;
  for (const char* name : {"ca.pem", "signer.pem"}) {
    CAPTURE(name);
    Anchors anchors = signed_image.anchors({"ca.pem", "stranger.pem"});
    const measure::Sha256 key = signed_image.anchors({name}).certificates[0].public_key();
    anchors.revoked_keys = {anchors.certificates[1].fingerprint(), key};
    const auto found = check_image(signed_image.by_sbsign(), anchors);
    REQUIRE(found);
    CHECK(found->trust == std::vector{Trust::revoked, Trust::none});
    anchors.revoked_keys.pop_back();
    CHECK(check_image(signed_image.by_sbsign(), anchors)->trust ==
          std::vector{Trust::trusted, Trust::none});
  }
}

TEST_CASE("authenticode: who wants signers for code is content with no other, by either tool") {
  const Signed signed_image;
  run(signed_image.place.path(), R"(
printf 'extendedKeyUsage=codeSigning\n' >code
printf 'extendedKeyUsage=serverAuth\n' >server
for kind in code server; do
  openssl x509 -req -in signer.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile $kind \
    -out $kind.pem
  sbsign --key signer.key --cert $kind.pem --output by-$kind image
done
)");
  Anchors anchors = signed_image.anchors({"ca.pem"});
  const auto trust_of = [&](const char* name) {
    return check_image(file(signed_image.place.path(name)), anchors).value().trust.at(0);
  };
  CHECK(trust_of("by-server") == Trust::trusted);
  anchors.code_only = {anchors.certificates[0].fingerprint()};
  CHECK(trust_of("by-code") == Trust::trusted);
  CHECK(trust_of("by-server") == Trust::unfit);
  CHECK(trust_of("by-sbsign") == Trust::unfit); // no extension at all
  CHECK(trust_of("by-osslsigncode") == Trust::unfit);
  anchors.revoked = anchors.code_only;
  CHECK(trust_of("by-server") == Trust::revoked);
}

TEST_CASE("authenticode: an image may be signed twice, and one trusted signature is enough") {
  const Signed signed_image;
  run(signed_image.place.path(),
      "sbsign --key stranger.key --cert stranger.pem --output twice by-sbsign");
  Anchors anchors = signed_image.anchors(all_three);
  anchors.revoked = {anchors.certificates[1].fingerprint()};
  const auto found = check_image(file(signed_image.place.path("twice")), anchors);
  REQUIRE(found);
  CHECK(found->found.size() == 2);
  CHECK(found->trust == std::vector{Trust::revoked, Trust::revoked, Trust::trusted});
}

TEST_CASE("authenticode: weak keys and hashes make nobody trusted") {
  const Signed signed_image;
  run(signed_image.place.path(), R"(
openssl req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.pem -subj '/CN=Weak'
osslsigncode sign -certs weak.pem -key weak.key -h sha256 -in image -out by-weak-key
osslsigncode sign -certs signer.pem -key signer.key -h sha1 -in image -out by-sha1
)");
  const auto weak =
      check_image(file(signed_image.place.path("by-weak-key")), signed_image.anchors({"weak.pem"}));
  REQUIRE(weak);
  CHECK(weak->trust == std::vector{Trust::weak});
  const auto sha1 =
      check_image(file(signed_image.place.path("by-sha1")), signed_image.anchors({"ca.pem"}));
  REQUIRE(sha1);
  CHECK_FALSE(sha1->found.at(0).valid);
  CHECK(sha1->found[0].why.find("SHA-256") != std::string::npos);
  CHECK(sha1->trust == std::vector{Trust::none});
}

TEST_CASE("authenticode: a certificate that is no CA vouches for nobody else") {
  const Signed signed_image;
  run(signed_image.place.path(), R"(
openssl req -newkey rsa:2048 -nodes -keyout second.key -out second.csr -subj '/CN=Second'
printf 'basicConstraints=critical,CA:FALSE\n' >no-ca
openssl x509 -req -in signer.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
  -extfile no-ca -out leaf.pem
openssl x509 -req -in second.csr -CA leaf.pem -CAkey signer.key -CAcreateserial -out second.pem
sbsign --key second.key --cert second.pem --addcert leaf.pem --output by-second image
)");
  const auto found = check_image(file(signed_image.place.path("by-second")),
                                 signed_image.anchors({"leaf.pem", "ca.pem", "second.pem"}));
  REQUIRE(found);
  CHECK(found->found.at(0).valid);
  CHECK(found->trust == std::vector{Trust::none, Trust::none, Trust::trusted});
}

TEST_CASE(
    "authenticode: an image without a signature has none, and its digest is that of sbsign's") {
  const auto found = check_image(pe_image(), {});
  REQUIRE(found);
  CHECK(found->found.empty());
  CHECK(found->digest == check_image(Signed().by_sbsign(), {})->digest);
}

TEST_CASE("authenticode: bytes that no section covers are refused") {
  Bytes gap = pe_image();
  put(gap, sections_at + 40 + 20, headers_bytes + section_data_bytes + 8, 4);
  CHECK(refusal(gap).find("not covered once each") != std::string::npos);
  Bytes overlap = pe_image();
  put(overlap, sections_at + 40 + 20, headers_bytes + section_data_bytes - 8, 4);
  CHECK(refusal(overlap).find("not covered once each") != std::string::npos);
  Bytes past = pe_image();
  put(past, sections_at + 40 + 16, section_data_bytes + 1, 4);
  CHECK(refusal(past).find("reach past its end") != std::string::npos);
  Bytes longer = Signed().by_sbsign();
  longer.resize(longer.size() + 8);
  CHECK(refusal(longer).find("not the end of the file") != std::string::npos);
  Bytes into = Signed().by_sbsign();
  put(into, sections_at + 40 + 16, section_data_bytes + 64, 4);
  CHECK(refusal(into).find("reach past its end, or into its signatures") != std::string::npos);
}

TEST_CASE("authenticode: what is no PE image, or ends early, is refused") {
  CHECK(check_image(Bytes(4096), {}).error().code == ErrorCode::unsupported);
  CHECK(check_image({}, {}).error().code == ErrorCode::unsupported);
  const Bytes good = Signed().by_sbsign();
  for (std::size_t size = 0; size < good.size(); size += size < headers_bytes ? 1 : 97)
    CHECK_FALSE(check_image(std::span(good).first(size), {}).has_value());
}

namespace {

/// systemd's stub with a kernel, an initrd, a command line and a name in sections of their own, as
/// ukify makes it; signed.
void make_unified(const Workplace& place) {
  run(place.path(), R"(
head -c 5000 /dev/zero | tr '\0' k > linux
head -c 3000 /dev/zero | tr '\0' i > initrd
echo quiet > cmdline
echo ID=test > osrel
objcopy --add-section .osrel=osrel --change-section-vma .osrel=0x20000 \
  --add-section .cmdline=cmdline --change-section-vma .cmdline=0x30000 \
  --add-section .linux=linux --change-section-vma .linux=0x2000000 \
  --add-section .initrd=initrd --change-section-vma .initrd=0x3000000 \
  /usr/lib/systemd/boot/efi/linuxx64.efi.stub unsigned
openssl req -x509 -newkey rsa:2048 -nodes -keyout k.key -out k.pem -subj '/CN=Test vendor'
sbsign --key k.key --cert k.pem --output unified unsigned
)");
}

} // namespace

TEST_CASE("authenticode: a unified kernel image's signature is verified, and what it is is said") {
  const Workplace place;
  make_unified(place);
  const Anchors anchors{
      .certificates = {Certificate::from_pem(text_file(place.path("k.pem")), "it").value()},
      .revoked = {}};
  const auto found = check_image(file(place.path("unified")), anchors);
  REQUIRE_MESSAGE(found, found.error().message());
  CHECK(found->unified);
  CHECK(found->trust == std::vector{Trust::trusted});
  const auto bare = check_image(file(place.path("unsigned")), anchors);
  REQUIRE(bare);
  CHECK(bare->unified);
  CHECK(bare->trust == std::vector{Trust::none});
  const auto plain = check_image(pe_image(), anchors);
  REQUIRE(plain);
  CHECK_FALSE(plain->unified);
}

TEST_CASE("authenticode: a unified kernel image with a changed section is signed by nobody") {
  const Workplace place;
  make_unified(place);
  const Anchors anchors{
      .certificates = {Certificate::from_pem(text_file(place.path("k.pem")), "it").value()},
      .revoked = {}};
  const Bytes unified = file(place.path("unified"));
  for (const std::string content :
       {"kkkkkkkk", "iiiiiiii", "quiet", "ID=test", ".linux", ".initrd"}) {
    CAPTURE(content);
    const auto at = std::ranges::search(unified, std::as_bytes(std::span(content)));
    REQUIRE(!at.empty());
    Bytes changed = unified;
    changed[static_cast<std::size_t>(at.begin() - unified.begin())] ^= std::byte{1};
    const auto found = check_image(changed, anchors);
    REQUIRE(found);
    CHECK(found->trust == std::vector{Trust::none});
    REQUIRE(found->found.size() == 1);
    CHECK_FALSE(found->found[0].valid);
  }
}
