// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/compare.hpp"
#include "ashlar/measure/event_log.hpp"
#include "guest_events.hpp"

using namespace ashlar;
using namespace ashlar::evidence;
using measure::Bank;
using measure::Event;
using measure::guest_events;
using measure::Profile;

namespace {

Side record(const char* name, std::vector<Event> events, Profile profile = Profile::uapi) {
  Side side;
  side.name = name;
  side.profile = profile;
  side.events = std::move(events);
  return side;
}

Side log(const char* name, const std::vector<Event>& events, Profile profile = Profile::uapi) {
  Side side;
  side.name = name;
  side.log =
      read_event_log(measure::event_log(profile, measure::extensions_of(profile, events).value()))
          .value();
  return side;
}

Side pcrs(const char* name, const std::vector<Event>& events, Profile profile = Profile::uapi) {
  Side side;
  side.name = name;
  side.pcrs = pcr_set_of(measure::replay(measure::extensions_of(profile, events).value()).value(),
                         {Bank::sha256});
  return side;
}

std::string cause(const Side& first, const Side& second, const std::vector<KnownFile>& known = {}) {
  const auto difference = compare(first, second, known);
  REQUIRE(difference);
  return *difference ? (*difference)->cause : "the same";
}

const std::vector<Event> guest = guest_events({"one"});
const std::vector<Event> quiet = guest_events({"one"}, "console=hvc0 quiet");
const std::vector<Event> other_initrd = guest_events({"two"});
const std::vector<KnownFile> two = {{"initrd of web-3", measure::digest(as_bytes("two")).value()}};

} // namespace

TEST_CASE("compare: every kind of the same guest is the same") {
  for (const Profile profile : {Profile::uapi, Profile::grub}) {
    const std::vector<Side> sides = {record("A", guest, profile), log("A", guest, profile),
                                     pcrs("A", guest, profile)};
    for (const Side& first : sides)
      for (const Side& second : sides)
        CHECK(cause(first, second) == "the same");
  }
}

TEST_CASE("compare: names an extra word of the command line, from every kind") {
  const std::string extra = "the command line of B has an extra `quiet`";
  CHECK(cause(record("A", guest), record("B", quiet)) == extra);
  CHECK(cause(record("A", guest), log("B", quiet)) == extra);
  CHECK(cause(log("A", guest), log("B", quiet)) == extra);
  CHECK(cause(log("A", guest, Profile::grub), log("B", quiet, Profile::grub)) == extra);
  CHECK(cause(record("A", guest), pcrs("B", quiet)) == "B: the command line has an extra `quiet`");
  CHECK(cause(pcrs("A", guest), record("B", quiet)) == "A: the command line lacks `quiet`");
  const auto difference = compare(record("A", guest), log("B", quiet), {});
  CHECK((*difference)->position == 3);
  CHECK((*difference)->covers == "command_line");
  CHECK((*difference)->first.ends_with("\"console=hvc0\""));
}

TEST_CASE("compare: says what else differs in a command line") {
  const auto lines = [](const char* first, const char* second) {
    return cause(record("A", guest_events({}, first)), record("B", guest_events({}, second)));
  };
  CHECK(lines("root=/dev/a ro", "root=/dev/b ro") ==
        "the command line of B has `root=/dev/b` where A has `root=/dev/a`");
  CHECK(lines("ro quiet", "ro") == "the command line of B lacks `quiet`");
  CHECK(lines("ro quiet", "quiet ro") == "the command lines have the same words in another order");
  CHECK(lines("ro  quiet", "ro quiet") == "the command lines differ in their spaces only");
  CHECK(lines("ro", "") == "the command line of B is empty");
  CHECK(lines("ro a=1", "rw a=2 \x1b[2J") ==
        "the command line of B has `a=2` where A has `a=1`, and has an extra `rw`, `\\x1b[2J`, and "
        "lacks `ro`");
}

TEST_CASE("compare: names another file, and whose it is") {
  CHECK(cause(record("A", guest), record("B", other_initrd)) == "the initrd of B is another file");
  CHECK(cause(record("A", guest), record("B", other_initrd), two) ==
        "the initrd of B is another file: it is the same file as the initrd of web-3");
  CHECK(cause(log("A", other_initrd), record("B", guest), two) ==
        "the initrd of B is another file; as to that of A, it is the same file as the initrd of "
        "web-3");
  CHECK(cause(record("A", guest), pcrs("B", other_initrd), two) ==
        "B: the initrd is another file: the same as the initrd of web-3");
  CHECK(
      cause(record("A", guest_events({"one", "two"})), record("B", guest_events({"two", "one"}))) ==
      "the initrd of B is another file: it is the file of event 7 (initrd) of A");
  CHECK(cause(record("A", guest), record("B", guest_events({}))) == "B has no initrd, A has one");
  CHECK(cause(record("A", guest_events({"one", "two"})), record("B", guest)) ==
        "B has fewer initrds than A");
}

TEST_CASE("compare: names the settings that differ, and not what only one side knows") {
  std::vector<Event> bigger = guest;
  bigger[2].content.replace(bigger[2].content.find("vcpus=1"), 7, "vcpus=4");
  bigger[2].digests = measure::digest(as_bytes(bigger[2].content)).value();
  CHECK(cause(record("A", guest), record("B", bigger)) == "vcpus is 1 in A, 4 in B");
  std::vector<Event> predicted(guest.begin() + 2, guest.end());
  CHECK(cause(record("A", guest), record("B", predicted)) == "the same");
  std::vector<Event> newer = guest;
  newer[0].content = "ashlar-builder 0.2.0";
  newer[0].digests = measure::digest(as_bytes(newer[0].content)).value();
  CHECK(cause(record("A", guest), record("B", newer)) == "they were built by different builders");
}

TEST_CASE("compare: names the device that differs, and what of it") {
  const auto with = [](const char* name, const std::string& lines) {
    std::vector<Event> events = guest;
    events[2].content += lines;
    events[2].digests = measure::digest(as_bytes(events[2].content)).value();
    return record(name, std::move(events));
  };
  const std::string a = "disk=xvda,access=ro,backend=storage,target=/dev/a\n";
  const std::string b = "disk=xvdb,access=ro,backend=storage,target=/dev/b\n";
  const std::string nic = "nic=backend=net,bridge=xenbr0,mac=auto\n";
  CHECK(cause(with("A", a + b + nic), with("B", a + b + nic)) == "the same");
  CHECK(cause(with("A", a + b),
              with("B", a + "disk=xvdb,access=rw,backend=storage,target=/dev/c\n")) ==
        "access of disk xvdb is ro in A, rw in B; target of disk xvdb is /dev/b in A, /dev/c in B");
  CHECK(cause(with("A", a + b), with("B", b)) ==
        "B lacks `disk=xvda,access=ro,backend=storage,target=/dev/a`");
  CHECK(cause(with("A", ""), with("B", a)) ==
        "B has an extra `disk=xvda,access=ro,backend=storage,target=/dev/a`");
  CHECK(cause(with("A", a + b), with("B", b + a)) ==
        "the configurations have the same settings in another order or form");
  CHECK(cause(with("A", nic + nic),
              with("B", nic + "nic=backend=net,bridge=xenbr1,mac=00:16:3e:00:00:01\n")) ==
        "bridge of nic 1 is xenbr0 in A, xenbr1 in B; mac of nic 1 is auto in A, "
        "00:16:3e:00:00:01 in B");
  CHECK(cause(with("A", nic), with("B", nic + nic)) ==
        "B has an extra `nic=backend=net,bridge=xenbr0,mac=auto`");
  // A label has commas, too, and who forges a text need not write keys.
  CHECK(cause(with("A", "xsm_label=u:r:t:c1,c2\n"), with("B", "xsm_label=u:r:t:c1,c3\n")) ==
        "xsm_label is u:r:t:c1,c2 in A, u:r:t:c1,c3 in B");
  CHECK(cause(with("A", "disk=xvda,x\n"), with("B", "disk=xvda\n")) ==
        "disk xvda is x in A,  in B");
}

TEST_CASE("compare: from PCR values alone it says no more than they do") {
  const std::vector<Event> unknown = guest_events({"one"}, "init=/bin/sh");
  const auto difference = compare(record("A", guest), pcrs("B", unknown), {});
  REQUIRE(*difference);
  CHECK((*difference)->cause.starts_with("PCR 12 covers configuration, command_line: one of"));
  CHECK(cause(pcrs("A", guest), pcrs("B", other_initrd)).starts_with("PCR 9 covers the initrds"));
  Side empty = pcrs("B", guest);
  (*empty.pcrs)[Bank::sha256][11].assign(32, std::byte{0});
  CHECK(cause(record("A", guest), empty) ==
        "PCR 11 of B is empty: nothing was ever measured into it");
  CHECK(cause(pcrs("A", guest), empty) ==
        "PCR 11 of B is empty: nothing was ever measured into it");
  Side short_one = pcrs("B", guest_events({"one"}));
  const Side more = record("A", guest_events({"one", "two"}));
  CHECK(cause(more, short_one) == "PCR 9 of B ends before this event: it was never measured");
  Side elsewhere;
  elsewhere.pcrs = read_pcr_set("sha256:0 " + std::string(64, 'a') + "\n", "a test").value();
  CHECK_FALSE(compare(record("A", guest), elsewhere, {}));
}

TEST_CASE("compare: from PCR values, an initrd that went or came is named") {
  const std::vector<Event> none = guest_events({});
  CHECK(cause(record("A", guest), pcrs("B", none)) == "B: there is no initrd");
  CHECK(cause(pcrs("A", none), record("B", guest)) == "A: there is no initrd");
  CHECK(cause(record("A", none), pcrs("B", other_initrd), two) ==
        "B: there is an initrd: the same as the initrd of web-3");
  CHECK(cause(record("A", guest, Profile::grub), pcrs("B", none, Profile::grub)) ==
        "B: there is no initrd");
}

TEST_CASE("compare: of a PCR with several events it names none, of one with a single event that") {
  std::vector<Event> shell = guest_events({"one"}, "init=/bin/sh");
  const auto undecided = compare(record("A", guest), pcrs("B", shell), {});
  REQUIRE(*undecided);
  CHECK((*undecided)->position == 0);
  CHECK((*undecided)->covers == "configuration, command_line");
  const auto single = compare(record("A", guest), pcrs("B", other_initrd), {});
  REQUIRE(*single);
  CHECK((*single)->position == 4);
  CHECK((*single)->cause ==
        "PCR 9 covers the initrd alone: it is another one in B, or B was extended further");
}

TEST_CASE("compare: known files are known in a log that has SHA-1 alone") {
  const auto old = [](const char* name, const std::vector<Event>& events) {
    return log(name, events, Profile::pv_grub);
  };
  CHECK(cause(old("A", guest), old("B", other_initrd), two) ==
        "the initrd of B is another file: it is the same file as the initrd of web-3");
  Side values;
  values.name = "B";
  values.pcrs = pcr_set_of(
      measure::replay(measure::extensions_of(Profile::pv_grub, other_initrd).value()).value(),
      {Bank::sha1});
  CHECK(cause(old("A", guest), values, two) ==
        "B: the initrd is another file: the same as the initrd of web-3");
}

TEST_CASE("compare: a log whose text is not what was measured is told apart") {
  Side lying = log("B", quiet);
  lying.log->extensions[2].log_text = "console=hvc0";
  CHECK(cause(record("A", guest), lying) ==
        "both say the same text: the digest of one of them is not that of its text");
}

TEST_CASE("PCR set: reads what tpm2_pcrread, sysfs and a bundle have") {
  const std::string hex(64, '5');
  const std::string old(40, '5');
  for (const std::string& text :
       {"sha256:11 " + hex + "\n", "  sha256:\n    11: 0x" + hex + "\n",
        "  sha1:\n    4 : 0x" + old + "\n  sha256:\n    11 : 0x" + hex + "\n",
        "/sys/class/tpm/tpm0/pcr-sha256/11:" + hex + "\n",
        "  sha512:\n  sha256:\n    11: 0x" + hex})
    CHECK(to_hex(read_pcr_set(text, "a test").value().at(Bank::sha256).at(11)) == hex);
  const std::string sysfs = "PCR-04: 55 55 55 55 55 55 55 55 55 55 55 55 55 55 55 55 55 55 55 55\n";
  CHECK(to_hex(read_pcr_set(sysfs, "a test").value().at(Bank::sha1).at(4)) == old);
  for (const std::string& text :
       {std::string(), std::string("hello\n"), "11: 0x" + hex, "sha256:11 " + old + "\n",
        "sha256:24 " + hex + "\n", "sha256:11 " + hex + "\nsha256:11 " + hex + "\n"})
    CHECK_FALSE(read_pcr_set(text, "a test"));
}
