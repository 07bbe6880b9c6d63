// SPDX-License-Identifier: LGPL-2.1-or-later
// Who says that the host's TPM is one? The endorsement key is a real TPM's (golden/web.bundle), its
// certificates are made here.
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/tpm_structures.hpp"
#include "authority.hpp"
#include "golden.hpp"

using namespace ashlar;
using namespace ashlar::evidence;
using test::Authority;
using test::Files;
using test::link_of;
using test::Wording;

namespace {

constexpr const char* endorsement_usage = "2.23.133.8.1";

Wording authority(const std::string& subject) {
  return {.subject = subject, .authority = true};
}

struct Maker {
  Authority root{authority("maker")};
  Files files{"web"};
  Key key = std::move(read_public(as_bytes(files["host.ek.pub"]), "host.ek.pub")->key);

  // The whole verdict, with this certificate (nothing: none) and these authorities.
  [[nodiscard]] Verdict verdict(const std::optional<std::string>& certificate,
                                const std::optional<std::string>& authorities) {
    Files changed = files;
    if (certificate)
      changed["host.ek.crt"] = *certificate;
    else
      changed.remove("host.ek.crt");
    Trust trust = test::trust();
    trust.endorsement_authorities = authorities;
    return test::verify(changed.pack(), trust);
  }
  [[nodiscard]] Link link(const std::optional<std::string>& certificate,
                          const std::optional<std::string>& authorities) {
    const Verdict all = verdict(certificate, authorities);
    const Link found = link_of(all, "endorsement");
    CHECK(all.ok() == (found.state != LinkState::failed)); // nothing else is wrong
    return found;
  }
  void refuses(const std::optional<std::string>& certificate, const std::string& authorities,
               const std::string& why) {
    const Link found = link(certificate, authorities);
    CAPTURE(found.reason);
    CHECK(found.state == LinkState::failed);
    CHECK(found.reason.find(why) != std::string::npos);
  }
};

} // namespace

TEST_CASE("endorsement: a certificate that leads to a trusted authority holds") {
  Maker maker;
  const Link direct = maker.link(maker.root.certify(maker.key), maker.root.pem());
  CHECK(direct.state == LinkState::ok);
  CHECK(direct.reason.find("leads to CN=maker") != std::string::npos);
  const Authority intermediate(maker.root, authority("factory"));
  const std::string certificate = intermediate.certify(maker.key, {.usage = endorsement_usage});
  const Authority other(authority("other maker"));
  CHECK(maker.link(certificate, other.pem() + maker.root.pem() + intermediate.pem()).state ==
        LinkState::ok);
  CHECK(maker.link(certificate, intermediate.pem()).state == LinkState::ok); // without its root
}

TEST_CASE("endorsement: without authorities the issuer is told, and the link unchecked") {
  Maker maker;
  const Link link = maker.link(maker.root.certify(maker.key), std::nullopt);
  CHECK(link.state == LinkState::unchecked);
  CHECK(link.reason.find("its issuer says that it is CN=maker") != std::string::npos);
  CHECK(link.reason.find("no ek-ca.pem") != std::string::npos);
}

TEST_CASE("endorsement: with authorities a certificate must be there") {
  Maker maker;
  maker.refuses(std::nullopt, maker.root.pem(),
                "the bundle has no host.ek.crt, and ek-ca.pem asks");
}

TEST_CASE("endorsement: refuses a certificate that no trusted authority issued") {
  Maker maker;
  const Authority other(authority("other maker"));
  maker.refuses(other.certify(maker.key), maker.root.pem(), "nobody in ek-ca.pem issued it");
  const Authority intermediate(maker.root, authority("factory"));
  maker.refuses(intermediate.certify(maker.key), maker.root.pem(),
                "intermediate certificate is missing");
  const Authority namesake(authority("maker"));
  maker.refuses(namesake.certify(maker.key), maker.root.pem(), "it is forged");
  // Certified, but not to certify others.
  const Authority customer(maker.root, {.subject = "customer"});
  maker.refuses(customer.certify(maker.key), maker.root.pem() + customer.pem(),
                "looking for the issuer of host.ek.crt");
}

TEST_CASE("endorsement: refuses certificates out of their time") {
  Maker maker;
  maker.refuses(maker.root.certify(maker.key, {.from_days = -9, .to_days = -2}), maker.root.pem(),
                "it has expired");
  maker.refuses(maker.root.certify(maker.key, {.from_days = 2, .to_days = 9}), maker.root.pem(),
                "it is not valid yet");
  const Authority past({.subject = "past", .from_days = -9, .to_days = -2, .authority = true});
  maker.refuses(past.certify(maker.key), past.pem(),
                "a certificate of ek-ca.pem that it needs has expired");
}

TEST_CASE("endorsement: refuses a certificate of another key, whoever issued it") {
  Maker maker;
  const Key other = std::move(read_public(as_bytes(maker.files["host.ak.pub"]), "k")->key);
  maker.refuses(maker.root.certify(other), maker.root.pem(), "of another key than host.ek.pub");
}

TEST_CASE("endorsement: refuses a certificate for another use") {
  Maker maker;
  maker.refuses(maker.root.certify(maker.key, {.usage = "serverAuth"}), maker.root.pem(),
                "for other uses than an endorsement key");
}

TEST_CASE("endorsement: refuses a key that is not of the TCG's template, certified or not") {
  for (const bool certified : {true, false}) {
    Maker maker;
    const std::string certificate = maker.root.certify(maker.key);
    Files& files = maker.files;
    const auto link = [&] {
      return certified ? maker.link(certificate, maker.root.pem())
                       : maker.link(std::nullopt, std::nullopt);
    };
    files["host.ek.pub"][9] ^= 0x10; // TPMA_OBJECT, its last byte: fixedparent
    CHECK(link().reason.find("its attributes are 0x300a2, not") != std::string::npos);
    files["host.ek.pub"][9] ^= 0x50; // userwithauth: anybody may use it
    CHECK(link().reason.find("its attributes are 0x300f2, not") != std::string::npos);
    CHECK(link().state == LinkState::failed);
  }
}

TEST_CASE("endorsement: refuses a key whose policy lets others use it") {
  Maker maker;
  std::string& key = maker.files["host.ek.pub"];
  key[12] ^= 1; // the policy's first byte, after attributes and size
  maker.refuses(maker.root.certify(maker.key), maker.root.pem(), "its policy is not that");
}

TEST_CASE("endorsement: a list of authorities is certificates and nothing else") {
  const Authority root(authority("maker"));
  CHECK(require_authorities(root.pem() + root.pem(), "ek-ca.pem"));
  const std::string pem = root.pem();
  for (const std::string& wrong :
       {std::string(), std::string("no PEM"), pem.substr(0, pem.size() / 2),
        pem + pem.substr(0, pem.size() / 2)})
    CHECK(require_authorities(wrong, "ek-ca.pem").error().code == ErrorCode::invalid);
  const Status keys = require_authorities(test::golden("reference/host-ak.pem"), "d/ek-ca.pem");
  CHECK(keys.error().message().find("d/ek-ca.pem has no certificate") != std::string::npos);
}
