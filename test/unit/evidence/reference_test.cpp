// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/reference.hpp"
#include "ashlar/evidence/signed_file.hpp"
#include "golden.hpp"
#include "guest_events.hpp"

using namespace ashlar;
using namespace ashlar::evidence;
using measure::guest_events;
using measure::Profile;

namespace {

std::string changed(std::string text, const std::string& from, const std::string& to) {
  REQUIRE(text.find(from) != std::string::npos);
  return text.replace(text.find(from), from.size(), to);
}

} // namespace

TEST_CASE("reference: reads what it writes, also strange words") {
  const auto uuid = measure::uuid_from_text("6a0e6f2e-8c5b-4f7e-9d41-0d2b6c1a3e57").value();
  for (const Profile profile : measure::all_profiles) {
    const auto events = guest_events({"one two", "%"}, " a%20b \"c\" \n\x01\xff");
    const std::string text = encode(make_reference(profile, uuid, events).value());
    const auto read = read_reference(text, "web.manifest");
    REQUIRE(read);
    CHECK(read->events == events);
    CHECK(read->uuid == uuid);
    CHECK(read->profile == profile);
    CHECK(encode(*read) == text);
  }
}

TEST_CASE("reference: refuses what is not as it is written") {
  const std::string text = test::golden("reference/web.manifest");
  REQUIRE(read_reference(text, "web.manifest"));
  CHECK_FALSE(read_reference("", "web.manifest"));
  CHECK_FALSE(read_reference(text + "\n", "web.manifest"));
  CHECK_FALSE(read_reference(text.substr(0, text.size() - 1), "web.manifest"));
  CHECK_FALSE(read_reference(changed(text, "reference=1", "reference=2"), "web.manifest"));
  CHECK_FALSE(read_reference(changed(text, "event=kernel", "event=kernal"), "web.manifest"));
  CHECK_FALSE(read_reference(changed(text, "size=12", "size=012"), "web.manifest"));
  CHECK_FALSE(read_reference(changed(text, "console=hvc0", "console=hvc1"), "web.manifest"));
  CHECK_FALSE(read_reference(changed(text, "%0a", "%0A"), "web.manifest"));
  CHECK_FALSE(read_reference(changed(text, "pcr=sha256:11 ", "pcr=sha256:10 "), "web.manifest"));
}

TEST_CASE("signed file: refuses a CMS that is none, is not detached, or that nobody signed") {
  const std::string manifest = test::golden("reference/web.manifest");
  const std::string cms = test::golden("reference/web.manifest.cms");
  const std::string signers = test::golden("reference/signers.pem");
  const auto why = [&](const std::string& content, const std::string& signature,
                       const std::string& by) {
    const auto signer = verify_signed(as_bytes(content), as_bytes(signature), by, "web.manifest");
    return signer ? *signer : signer.error().message();
  };
  CHECK(why(manifest, cms, signers) == "CN=signer");
  CHECK(why(manifest, cms, "").find("has no certificate") != std::string::npos);
  CHECK(why(manifest, "", signers).find("no CMS in DER") != std::string::npos);
  CHECK(why(manifest, cms + "x", signers).find("no CMS in DER") != std::string::npos);
  CHECK(why(manifest, cms.substr(0, cms.size() / 2), signers).find("no CMS") != std::string::npos);
  CHECK(why("", cms, signers).find("was changed") != std::string::npos);
  CHECK(why(manifest, test::golden("attached.cms"), signers).find("not a detached") !=
        std::string::npos);
  CHECK(why(manifest, test::golden("nobody.cms"), signers).find("nobody signed") !=
        std::string::npos);
  CHECK(why(manifest, test::golden("sha1.cms"), signers).find("weak hash") != std::string::npos);
}
