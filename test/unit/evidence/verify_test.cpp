// SPDX-License-Identifier: LGPL-2.1-or-later
// Each way to be believed without being what one says, and the message that refuses it.
#include <doctest/doctest.h>

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "golden.hpp"

using namespace ashlar;
using namespace ashlar::evidence;
using test::failed;
using test::Files;
using test::golden;
using test::link_of;
using test::trust;

namespace {

using Names = std::vector<std::string>;

void check_refused(const Verdict& verdict, const Names& links, const std::string& why) {
  CHECK_FALSE(verdict.ok());
  CHECK(failed(verdict) == links);
  REQUIRE_FALSE(failed(verdict).empty());
  const std::string reason = link_of(verdict, failed(verdict).front()).reason;
  CAPTURE(reason);
  CHECK(reason.find(why) != std::string::npos);
}

} // namespace

TEST_CASE("verify: a guest's own bundle holds in every link") {
  const Verdict verdict = test::verify(golden("web.bundle"), trust());
  for (const Link& link : verdict.links)
    CHECK_MESSAGE((link.state == LinkState::ok || link.optional), link.name, ": ", link.reason);
  CHECK(verdict.ok());
  CHECK(verdict.links.size() == 18);
  CHECK(verdict.reference == "web.manifest");
  REQUIRE(verdict.subject);
  CHECK(verdict.subject->name == "web-1");
  CHECK(verdict.subject->serial == 2);
  CHECK(link_of(verdict, "firmware").state == LinkState::ok);
  CHECK(link_of(verdict, "endorsement").state == LinkState::unchecked); // no ek-ca.pem
  CHECK(link_of(verdict, "incarnation").state == LinkState::unchecked);
}

TEST_CASE("verify: without a certificate and firmware values those links stay unchecked") {
  Files files("web");
  files.remove("host.ek.crt");
  Trust weaker = trust();
  weaker.firmware.reset();
  const Verdict verdict = test::verify(files.pack(), weaker);
  CHECK(verdict.ok());
  CHECK(link_of(verdict, "endorsement").state == LinkState::unchecked);
  CHECK(link_of(verdict, "endorsement").reason.contains("only your enrolment can have tied"));
  CHECK(link_of(verdict, "firmware").state == LinkState::unchecked);
}

TEST_CASE("verify: refuses an old nonce, also under a manifest that names the new one") {
  check_refused(test::verify(golden("old.bundle"), trust()), {"nonce", "binding"},
                "answers another challenge: it is an old one");
  Files files("old");
  files["manifest"] = Files("web")["manifest"];
  check_refused(test::verify(files.pack(), trust()), {"binding"}, "put together from several");
}

TEST_CASE("verify: refuses another host") {
  check_refused(test::verify(golden("other-host.bundle"), trust()), {"host key"},
                "no enrolled host has it");
}

TEST_CASE("verify: refuses another guest of the same host, whose evidence is true") {
  const Verdict verdict = test::verify(golden("other-guest.bundle"), trust());
  check_refused(verdict, {"reference"}, "no signed reference fits");
  CHECK(link_of(verdict, "reference")
            .reason.find("name is web-1 in web.manifest, mail in the "
                         "guest") != std::string::npos);
}

TEST_CASE("verify: refuses a guest that shows another guest's record") {
  Files files("other-guest");
  files["record"] = Files("web")["record"];
  files["guest.log"] = Files("web")["guest.log"];
  check_refused(test::verify(files.pack(), trust()), {"binding"},
                "vouched for event 3 of the host log");
}

TEST_CASE("verify: refuses a vTPM that was not the one vouched for") {
  Files files("rebuilt");
  Files other("other-guest");
  for (const char* name : {"guest.quote.msg", "guest.quote.sig", "guest.ak.pub", "guest.pcrs"})
    files[name] = other[name];
  check_refused(test::verify(files.pack(), trust()), {"binding"}, "another key");
}

TEST_CASE("verify: refuses the record of a guest that was destroyed and built anew") {
  Files files("rebuilt");
  files["record"] = Files("web")["record"];
  check_refused(test::verify(files.pack(), trust()), {"binding"}, "the guest was built anew");
}

TEST_CASE("verify: tells a rebuilt guest from the one that was seen before") {
  Trust known = trust();
  known.record = test::verify(golden("web.bundle"), trust()).subject->record;
  CHECK(test::verify(golden("web.bundle"), known).ok());
  CHECK(test::verify(golden("rebuilt.bundle"), trust()).ok());
  const Verdict verdict = test::verify(golden("rebuilt.bundle"), known);
  check_refused(verdict, {"incarnation"}, "was destroyed and built anew (this one has serial 4)");
}

TEST_CASE("verify: refuses a host log that was cut off, exchanged or changed") {
  Files early("other-guest");
  early["host.log"].resize(2 * 32);
  check_refused(test::verify(early.pack(), trust()), {"host log"},
                "2 events do not give the quoted PCR 13; the guest's record is not in it either");
  Files late("rebuilt");
  late["record"] = Files("web")["record"];
  late["host.log"].resize(3 * 32);
  check_refused(
      test::verify(late.pack(), trust()), {"host log"},
      "3 events do not give the quoted PCR 13; the guest's record is in it: it was cut off");
  Files later("web");
  later["host.log"] = Files("other-guest")["host.log"];
  check_refused(test::verify(later.pack(), trust()), {"host log"},
                "its first 2 do: it was exchanged for a later one");
  Files stranger("web");
  stranger["host.log"] = Files("other-host")["host.log"];
  check_refused(test::verify(stranger.pack(), trust()), {"host log"},
                "the guest's record is in it: it was cut off");
  Files reordered("web");
  const std::string log = reordered["host.log"];
  reordered["host.log"] = log.substr(32) + log.substr(0, 32);
  check_refused(test::verify(reordered.pack(), trust()), {"host log"}, "do not give the quoted");
}

TEST_CASE("verify: refuses a record that is not in the host log") {
  Files files("web");
  files["record"] = Files("rebuilt")["record"];
  check_refused(test::verify(files.pack(), trust()), {"record", "binding"},
                "this host never built that domain");
}

TEST_CASE("verify: refuses a guest's log that was cut off or exchanged") {
  Files exchanged("web");
  exchanged["guest.log"] = Files("other-guest")["guest.log"];
  check_refused(test::verify(exchanged.pack(), trust()), {"guest log"},
                "does not give the quoted PCR 12: the log was exchanged or changed: its event 1 is "
                "not the record's: name is web-1 in the record, mail in the guest's log");
  Files cut("web");
  // The last entry: PCR, type, count, three digests, size, "initrd: initrd" and a NUL.
  cut["guest.log"].resize(cut["guest.log"].size() - (12 + 3 * 2 + 20 + 32 + 48 + 4 + 15));
  check_refused(
      test::verify(cut.pack(), trust()), {"guest log"},
      "does not give the quoted PCR 9: the log was cut off: it ends after 3 events, before "
      "the initrd of the record");
}

TEST_CASE("verify: refuses an empty PCR") {
  check_refused(test::verify(golden("empty-pcr.bundle"), trust()), {"guest PCRs"},
                "PCR 11 is empty");
}

TEST_CASE("verify: refuses PCRs that the guest extended itself") {
  check_refused(test::verify(golden("extended-pcr.bundle"), trust()), {"guest log"},
                "the guest extended the PCR itself");
}

TEST_CASE("verify: refuses values that were not quoted") {
  for (const char* name : {"host.pcrs", "guest.pcrs"}) {
    Files files("web");
    std::string& values = files[name];
    values[values.size() - 2] = values[values.size() - 2] == '0' ? '1' : '0';
    const Verdict verdict = test::verify(files.pack(), trust());
    CHECK_FALSE(verdict.ok());
    CHECK(failed(verdict).front() == (name[0] == 'h' ? "host PCRs" : "guest PCRs"));
  }
}

TEST_CASE("verify: refuses statements and signatures with a changed byte") {
  for (const char* name :
       {"host.quote.msg", "host.quote.sig", "guest.quote.msg", "guest.quote.sig"}) {
    Files files("web");
    files[name].back() = static_cast<char>(files[name].back() ^ 1);
    const Verdict verdict = test::verify(files.pack(), trust());
    CAPTURE(name);
    CHECK_FALSE(verdict.ok());
    CHECK(failed(verdict).front() == (name[0] == 'h' ? "host quote" : "guest quote"));
  }
}

TEST_CASE("verify: refuses keys that are no attestation keys") {
  Files files("web");
  files["host.ak.pub"] = files["host.ek.pub"];
  const Verdict verdict = test::verify(files.pack(), trust());
  CHECK(failed(verdict).front() == "host key");
  Files unrestricted("web");
  unrestricted["guest.ak.pub"][7] &= ~1; // TPMA_OBJECT: restricted
  const Verdict other = test::verify(unrestricted.pack(), trust());
  CHECK(link_of(other, "guest key").reason.find("restricted is not set") != std::string::npos);
}

TEST_CASE("verify: refuses a certificate of another endorsement key") {
  Files files("web");
  files["host.ek.crt"] = Files("other-host")["host.ek.crt"];
  check_refused(test::verify(files.pack(), trust()), {"endorsement"}, "of another key");
}

TEST_CASE("verify: refuses a host that booted something else") {
  Trust strict = trust();
  strict.firmware->at(4) = {measure::Sha256{std::byte{1}}};
  check_refused(test::verify(golden("web.bundle"), strict), {"firmware"}, "PCR 4 is not what");
}

TEST_CASE("verify: says which of the firmware's PCRs the reference leaves open") {
  const auto firmware = [](const Trust& beforehand) {
    return link_of(test::verify(golden("web.bundle"), beforehand), "firmware").reason;
  };
  Trust fewer = trust();
  CHECK(firmware(fewer) == "PCRs 0, 1, 2, 3, 4, 5, 6, 7 are as host.pcrs has them");
  fewer.firmware->erase(3);
  fewer.firmware->erase(7);
  CHECK(firmware(fewer) ==
        "PCRs 0, 1, 2, 4, 5, 6 are as host.pcrs has them; it says nothing of 3, 7");
}

TEST_CASE("verify: refuses a quote over another host PCR") {
  Trust elsewhere = trust();
  elsewhere.host_pcr = 14;
  check_refused(test::verify(golden("web.bundle"), elsewhere), {"host PCRs"}, "other PCRs");
}

TEST_CASE("verify: refuses references that are unsigned, changed, or signed by somebody else") {
  Trust unsigned_one = trust();
  unsigned_one.references.front().signature.reset();
  check_refused(test::verify(golden("web.bundle"), unsigned_one), {"signed references"},
                "the reference is unsigned");
  Trust changed = trust();
  changed.references.front().manifest.back() = ' ';
  check_refused(test::verify(golden("web.bundle"), changed), {"signed references"},
                "was changed after it was signed");
  Trust strange = trust();
  const std::string cms = golden("stranger.cms");
  const auto bytes = as_bytes(cms);
  strange.references.front().signature = Bytes(bytes.begin(), bytes.end());
  check_refused(test::verify(golden("web.bundle"), strange), {"signed references"},
                "signed by nobody in signers.pem");
  Trust none = trust();
  none.references.clear();
  check_refused(test::verify(golden("web.bundle"), none), {"signed references"},
                "there is no *.manifest");
}

TEST_CASE("verify: a reference by name is the only one that will do") {
  Trust other = trust();
  other.reference_name = "mail.manifest";
  check_refused(test::verify(golden("web.bundle"), other), {"signed references"},
                "there is no mail.manifest");
  other.reference_name = "web.manifest";
  CHECK(test::verify(golden("web.bundle"), other).ok());
}

TEST_CASE("verify: a guest of the profile grub, whose reference must be of that profile") {
  Trust grub = trust();
  check_refused(test::verify(golden("grub.bundle"), grub), {"reference"}, "another profile");
  grub.references.push_back(test::reference("", "grub.manifest"));
  const Verdict verdict = test::verify(golden("grub.bundle"), grub);
  CHECK(verdict.ok());
  CHECK(verdict.reference == "grub.manifest");
  CHECK(test::verify(golden("web.bundle"), grub).reference == "web.manifest");
  Files files("grub");
  files["manifest"] = Files("web")["manifest"];
  check_refused(test::verify(files.pack(), grub), {"guest PCRs"}, "other PCRs were quoted");
}

TEST_CASE("verify: what cannot be read is one failed link") {
  check_refused(test::verify("no archive", trust()), {"bundle"}, "cut off");
  CHECK_FALSE(Verdict{}.ok());
}
