// SPDX-License-Identifier: LGPL-2.1-or-later
// CMS messages of `openssl cms`, and what `openssl cms` says of ours.
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/signature/cms.hpp"
#include "ashlar/signature/sign.hpp"
#include "pe_image.hpp"

using namespace ashlar;
using namespace ashlar::signature;
using namespace ashlar::signature::test;

namespace {

struct Keys {
  Workplace place;
  Keys() {
    write(place.path("content"), pe_image());
    run(place.path(), R"(
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj '/CN=Test CA'
openssl ecparam -name prime256v1 -genkey -noout -out signer.key
openssl req -new -key signer.key -out signer.csr -subj '/CN=Test signer'
openssl x509 -req -in signer.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out signer.pem
sign="openssl cms -sign -binary -signer signer.pem -inkey signer.key -in content"
$sign -outform PEM -out detached
$sign -outform DER -out detached.der
$sign -outform PEM -nodetach -out whole
$sign -outform PEM -noattr -out without-attributes
$sign -outform PEM -md sha384 -out by-sha384
$sign -outform PEM -md sha1 -nodetach -out by-sha1
$sign -outform PEM -nocerts -nodetach -out without-certificate
openssl cms -encrypt -binary -in content -outform PEM -out encrypted ca.pem
)");
  }
  [[nodiscard]] Anchors anchors(const std::string& name = "ca.pem") const {
    const auto certificate = Certificate::from_pem(text_file(place.path(name)), name);
    REQUIRE(certificate);
    return {.certificates = {*certificate}, .revoked = {}};
  }
  [[nodiscard]] PemFile pem(const std::string& name) const {
    return {text_file(place.path(name)), place.path(name)};
  }
  [[nodiscard]] Bytes message(const std::string& name) const {
    const auto bytes = message_from_pem(text_file(place.path(name)), name);
    REQUIRE(bytes);
    return *bytes;
  }
  [[nodiscard]] ErrorCode content_error(const std::string& name, const Anchors& trusted) const {
    const auto content = signed_content(message(name), trusted, name);
    REQUIRE(!content);
    return content.error().code;
  }
  [[nodiscard]] ErrorCode digest_error(const std::string& name, const Anchors& trusted) const {
    const auto digest = signed_digest(message(name), trusted, name);
    REQUIRE(!digest);
    return digest.error().code;
  }
};

std::string content() {
  const Bytes image = pe_image();
  return {reinterpret_cast<const char*>(image.data()), image.size()};
}

measure::Sha256 content_digest() {
  return measure::digest(pe_image())->sha256;
}

} // namespace

TEST_CASE("cms: a message gives its content, and a detached one the digest of what it signs") {
  const Keys keys;
  for (const char* anchor : {"ca.pem", "signer.pem"}) {
    CAPTURE(anchor);
    CHECK(signed_content(keys.message("whole"), keys.anchors(anchor), "it").value() == content());
    CHECK(signed_digest(keys.message("detached"), keys.anchors(anchor), "it").value() ==
          content_digest());
  }
  CHECK(signed_digest(file(keys.place.path("detached.der")), keys.anchors(), "it").value() ==
        content_digest());
}

TEST_CASE("cms: a message without its signer's certificate is right for who names that one") {
  const Keys keys;
  CHECK(signed_content(keys.message("without-certificate"), keys.anchors("signer.pem"), "it")
            .has_value());
  CHECK(keys.content_error("without-certificate", keys.anchors()) == ErrorCode::denied);
}

TEST_CASE("cms: who is not named, or is revoked, has signed nothing") {
  const Keys keys;
  run(keys.place.path(), "openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out "
                         "other.pem -subj '/CN=Test CA'");
  CHECK(keys.content_error("whole", keys.anchors("other.pem")) == ErrorCode::denied);
  CHECK(keys.digest_error("detached", keys.anchors("other.pem")) == ErrorCode::denied);
  CHECK(keys.content_error("whole", {}) == ErrorCode::denied);
  Anchors revoked = keys.anchors();
  revoked.revoked = {keys.anchors("signer.pem").certificates[0].fingerprint()};
  const auto digest = signed_digest(keys.message("detached"), revoked, "it");
  REQUIRE(!digest);
  CHECK(digest.error().why.find("revoked") != std::string::npos);
}

TEST_CASE("cms: a message with a changed byte is refused, whichever it is") {
  const Keys keys;
  const Bytes detached = keys.message("detached");
  const Bytes whole = keys.message("whole");
  for (std::size_t at = 0; at < detached.size(); ++at) {
    CAPTURE(at);
    Bytes changed = detached;
    changed[at] ^= std::byte{0x10};
    const auto digest = signed_digest(changed, keys.anchors("signer.pem"), "it");
    // A few bytes mean nothing: the digest that comes out is the one that was signed all the same.
    CHECK((!digest || *digest == content_digest()));
  }
  for (std::size_t at = 0; at < whole.size(); at += 7) {
    CAPTURE(at);
    Bytes changed = whole;
    changed[at] ^= std::byte{0x10};
    const auto text = signed_content(changed, keys.anchors("signer.pem"), "it");
    CHECK((!text || *text == content()));
  }
}

TEST_CASE("cms: what is no such message is refused, with the reason") {
  const Keys keys;
  CHECK(keys.digest_error("without-attributes", keys.anchors()) == ErrorCode::unsupported);
  CHECK(keys.digest_error("by-sha384", keys.anchors()) == ErrorCode::unsupported);
  CHECK(keys.content_error("by-sha1", keys.anchors()) == ErrorCode::unsupported);
  CHECK(keys.content_error("encrypted", keys.anchors()) == ErrorCode::invalid);
  CHECK(keys.content_error("detached", keys.anchors()) == ErrorCode::invalid);
  CHECK(keys.digest_error("whole", keys.anchors()) == ErrorCode::invalid);
  Bytes longer = keys.message("detached");
  longer.push_back(std::byte{0});
  CHECK(!signed_digest(longer, keys.anchors(), "it").has_value());
  CHECK(!signed_digest({}, keys.anchors(), "it").has_value());
  CHECK(!message_from_pem("", "it").has_value());
  CHECK(!message_from_pem(text_file(keys.place.path("ca.pem")), "it").has_value());
}

TEST_CASE("cms: what is signed here, openssl verifies, and so do we") {
  const Keys keys;
  for (const Form form : {Form::with_content, Form::detached}) {
    const auto pem = sign(pe_image(), form, keys.pem("signer.key"), keys.pem("signer.pem"));
    REQUIRE(pem);
    const auto bytes = std::as_bytes(std::span(*pem));
    write(keys.place.path("ours"), Bytes(bytes.begin(), bytes.end()));
    run(keys.place.path(),
        std::string("openssl cms -verify -binary -inform PEM -in ours -purpose any "
                    "-CAfile ca.pem -out verified ") +
            (form == Form::detached ? "-content content" : ""));
    CHECK(file(keys.place.path("verified")) == pe_image());
    if (form == Form::detached)
      CHECK(signed_digest(keys.message("ours"), keys.anchors(), "it").value() == content_digest());
    else
      CHECK(signed_content(keys.message("ours"), keys.anchors(), "it").value() == content());
  }
}

TEST_CASE("cms: a key that does not belong to the certificate signs nothing") {
  const Keys keys;
  const auto wrong = sign(pe_image(), Form::detached, keys.pem("ca.key"), keys.pem("signer.pem"));
  REQUIRE(!wrong);
  CHECK(wrong.error().why.find("does not belong") != std::string::npos);
}

TEST_CASE("cms: a key that no builder would believe signs nothing, and its file is named") {
  const Keys keys;
  run(keys.place.path(), R"(
openssl req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.pem -subj '/CN=Weak'
openssl req -x509 -newkey ed25519 -nodes -keyout ed.key -out ed.pem -subj '/CN=Ed'
openssl req -x509 -newkey rsa-pss -nodes -keyout pss.key -out pss.pem -subj '/CN=PSS'
)");
  const auto why = [&](const std::string& key, const std::string& certificate) {
    const auto signature = sign(pe_image(), Form::detached, keys.pem(key), keys.pem(certificate));
    REQUIRE(!signature);
    CHECK(signature.error().doing.contains(keys.place.path("")));
    return signature.error().why;
  };
  CHECK(why("weak.key", "weak.pem") == "the key is worth 80 bits of security, and builders believe "
                                       "none below 112: use RSA from 2048 bits, or ECDSA");
  CHECK(why("ed.key", "ed.pem") ==
        "a key of kind ED25519 does not work here: use RSA from 2048 bits, or ECDSA");
  CHECK(why("signer.pem", "signer.pem").starts_with("it is no PEM text of a key"));
  CHECK(why("signer.key", "signer.key").starts_with("it is no PEM text of an X.509 certificate"));
  CHECK(sign(pe_image(), Form::detached, keys.pem("pss.key"), keys.pem("pss.pem")).has_value());
}

TEST_CASE("cms: a signer with a weak key is refused, and told so") {
  const Keys keys;
  run(keys.place.path(), R"(
openssl req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.pem -subj '/CN=Weak'
openssl req -x509 -newkey rsa:1024 -nodes -keyout other.key -out other.pem -subj '/CN=Weak'
openssl cms -sign -binary -signer weak.pem -inkey weak.key -in content -outform PEM -out by-weak
)");
  const auto refused = signed_digest(keys.message("by-weak"), keys.anchors("weak.pem"), "it");
  REQUIRE(!refused);
  CHECK(refused.error().why.starts_with("a key or hash between its signer \"CN=Weak\" and the "
                                        "certificate named is worth less than 112 bits"));
  const auto trust = [&](const char* anchor) {
    return check_detached(keys.message("by-weak"), content_digest(), keys.anchors(anchor), "it")
        .value()
        .trust;
  };
  CHECK(trust("weak.pem") == std::vector{Trust::weak});
  CHECK(trust("other.pem") == std::vector{Trust::none}); // the name alone makes no chain
  CHECK(keys.anchors("weak.pem").certificates[0].security_bits() == 80);
  CHECK(keys.anchors("signer.pem").certificates[0].security_bits() == 128);
}

TEST_CASE("cms: a detached message is checked against a digest, and says who has made it") {
  const Keys keys;
  const auto detached =
      check_detached(keys.message("detached"), content_digest(), keys.anchors(), "it");
  REQUIRE(detached);
  CHECK(detached->subject == "CN=Test signer");
  CHECK(detached->issuer == "CN=Test CA");
  CHECK(detached->fingerprint == keys.anchors("signer.pem").certificates[0].fingerprint());
  CHECK(detached->trust == std::vector{Trust::trusted});
  CHECK(require_trusted(*detached, "it"));
  measure::Sha256 other = content_digest();
  other[31] ^= std::byte{1};
  const auto foreign = check_detached(keys.message("detached"), other, keys.anchors(), "it");
  REQUIRE(!foreign);
  CHECK(foreign.error().code == ErrorCode::integrity);
  CHECK(foreign.error().why.find("for another image") != std::string::npos);
}

TEST_CASE("cms: a detached message that nobody named vouches for is right, and does not count") {
  const Keys keys;
  run(keys.place.path(), "openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out "
                         "other.pem -subj '/CN=Test CA'");
  const auto stranger =
      check_detached(keys.message("detached"), content_digest(), keys.anchors("other.pem"), "it");
  REQUIRE(stranger);
  CHECK(stranger->trust == std::vector{Trust::none});
  CHECK(
      require_trusted(*stranger, "it").error().why.find("\"CN=Test signer\" has no certificate") !=
      std::string::npos);
  Anchors revoked = keys.anchors();
  revoked.revoked = {keys.anchors("signer.pem").certificates[0].fingerprint()};
  const auto taken_back = check_detached(keys.message("detached"), content_digest(), revoked, "it");
  REQUIRE(taken_back);
  CHECK(require_trusted(*taken_back, "it").error().why.find("revoked") != std::string::npos);
}

TEST_CASE("cms: a certificate that was issued anew is still reached by its key") {
  const Keys keys;
  run(keys.place.path(), R"(
openssl x509 -req -in signer.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out again.pem
openssl cms -sign -binary -signer again.pem -inkey signer.key -in content -outform PEM -out anew
openssl x509 -in signer.pem -noout -pubkey | openssl pkey -pubin -outform DER |
  openssl dgst -sha256 -binary >key
)");
  const Certificate signer = keys.anchors("signer.pem").certificates[0];
  measure::Sha256 key{};
  std::ranges::copy(file(keys.place.path("key")), key.begin());
  CHECK(signer.public_key() == key); // as docs/policy.md has it
  Anchors revoked = keys.anchors();
  revoked.revoked = {signer.fingerprint()};
  CHECK(signed_digest(keys.message("anew"), revoked, "it").has_value());
  revoked.revoked_keys = {key};
  const auto digest = signed_digest(keys.message("anew"), revoked, "it");
  REQUIRE(!digest);
  CHECK(digest.error().why.find("is revoked") != std::string::npos);
  CHECK(check_detached(keys.message("anew"), content_digest(), revoked, "it")->public_key == key);
}

TEST_CASE("cms: a signer that is not for code is refused by who wants one, and told so") {
  const Keys keys;
  Anchors anchors = keys.anchors();
  anchors.code_only = {anchors.certificates[0].fingerprint()};
  const auto content = signed_content(keys.message("whole"), anchors, "it");
  REQUIRE(!content);
  CHECK(content.error().why.find("not marked for signing code") != std::string::npos);
  const auto detached =
      check_detached(keys.message("detached"), content_digest(), anchors, "it").value();
  CHECK(detached.trust == std::vector{Trust::unfit});
  CHECK(require_trusted(detached, "it").error().code == ErrorCode::denied);
}

TEST_CASE("cms: each way in which a detached message can be no such has words of its own") {
  const Keys keys;
  const auto why = [&](const Bytes& message) {
    const auto checked = check_detached(message, content_digest(), keys.anchors(), "it");
    REQUIRE(!checked);
    return checked.error().why;
  };
  Bytes cut = keys.message("detached");
  cut.resize(cut.size() - 1);
  CHECK(why(cut).starts_with("it is no CMS message"));
  Bytes wrong = keys.message("detached");
  wrong.back() ^= std::byte{1};
  CHECK(why(wrong).starts_with("the signature is wrong"));
  CHECK(why(keys.message("whole")).starts_with("it holds what it signs"));
  CHECK(why(keys.message("without-attributes")).starts_with("it has no signed attributes"));
  CHECK(why(keys.message("by-sha384")).find("-md sha256") != std::string::npos);
  CHECK(why(keys.message("encrypted")).find("not a signed one") != std::string::npos);
  for (std::size_t size = 0; size < cut.size(); size += 5)
    CHECK_FALSE(check_detached(std::span(cut).first(size), content_digest(), keys.anchors(), "it"));
}
