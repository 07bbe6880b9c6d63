// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "ashlar/base/bytes.hpp"
#include "ashlar/broker/limits.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

Journal::Opened opened(const std::string& path) {
  Result<Journal::Opened> journal = Journal::open(path);
  REQUIRE_MESSAGE(journal.has_value(), journal.error().message());
  return std::move(*journal);
}

Domain full_domain(std::uint64_t serial) {
  Domain domain;
  domain.record.serial = serial;
  domain.record.domid = 7;
  domain.record.uuid = {std::byte{1}, std::byte{2}};
  domain.record.requester = "tester";
  domain.configuration.name = "web";
  domain.configuration.type = measure::GuestType::pv;
  domain.configuration.vcpus = 3;
  domain.configuration.memory_kib = 1 << 18;
  domain.configuration.max_memory_kib = 1 << 19;
  domain.configuration.on_crash = measure::StopAction::preserve;
  domain.configuration.xsm_label = "system_u:system_r:domU_t";
  domain.command_line = "console=hvc0";
  const auto digests = measure::digest(as_bytes("kernel"));
  REQUIRE(digests);
  domain.kernel = {"vmlinuz", 6, *digests, nullptr};
  domain.initrds = {{"one", 1, *digests, nullptr}, {"two", 2, *digests, nullptr}};
  domain.peer = policy::DomainPeer{"toolstack", "6a0e"};
  domain.rule = "web guests";
  domain.policy_digest = std::string(64, 'a');
  domain.started_unix = 1700000000;
  domain.requester = true;
  domain.essential = true;
  measure::Ingredients ingredients;
  ingredients.builder_identity = "builder";
  ingredients.policy_digest = domain.policy_digest;
  ingredients.configuration = domain.configuration;
  ingredients.kernel = {"vmlinuz", 6, *digests};
  auto events = measure::make_events(ingredients);
  REQUIRE(events);
  domain.record.events = std::move(*events);
  return domain;
}

std::string file_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// The first entry of a journal: its length, its kind and the number.
std::string version_entry(char version) {
  return std::string("\x05\x00\x00\x00\x0a", 5) + version + std::string(3, '\0');
}

} // namespace

TEST_CASE("journal: a domain comes back with all that was written") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/journal";
  const Domain wrote = full_domain(4);
  {
    Journal::Opened journal = opened(path);
    REQUIRE(journal.journal.intent(4, wrote.uuid()));
    REQUIRE(journal.journal.built(wrote));
    REQUIRE(journal.journal.started(4));
    REQUIRE(journal.journal.holder(wrote.kernel.digests.sha256, "tester"));
  }
  for (int i = 0; i < 2; ++i) { // as appended, and as rewritten by the first open
    const Journal::Opened again = opened(path);
    CHECK_FALSE(again.cut);
    CHECK(again.state.next_serial == 5);
    CHECK(again.state.intents.empty());
    CHECK(again.state.started.contains(4));
    CHECK(again.state.holders.at(wrote.kernel.digests.sha256).contains("tester"));
    const Domain& read = again.state.domains.at(4);
    CHECK(read.record == wrote.record);
    CHECK(measure::canonical_text(read.configuration) ==
          measure::canonical_text(wrote.configuration));
    CHECK(read.command_line == wrote.command_line);
    CHECK(read.kernel.digests == wrote.kernel.digests);
    REQUIRE(read.initrds.size() == 2);
    CHECK(read.initrds[1].label == "two");
    CHECK(std::get<policy::DomainPeer>(read.peer).uuid == "6a0e");
    CHECK(read.rule == wrote.rule);
    CHECK(read.started_unix == wrote.started_unix);
    CHECK(read.requester);
    CHECK(read.essential);
    CHECK_FALSE(read.leave_paused);
  }
}

TEST_CASE("journal: a revoked domain is to be removed until it is said to be gone") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/journal";
  {
    Journal::Opened journal = opened(path);
    REQUIRE(journal.journal.built(full_domain(4)));
    REQUIRE(journal.journal.revoked(4));
  }
  {
    Journal::Opened journal = opened(path);
    CHECK(journal.state.domains.empty());
    CHECK(journal.state.intents.at(4) == full_domain(4).uuid());
    REQUIRE(journal.journal.abandoned(4));
  }
  const Journal::Opened again = opened(path);
  CHECK(again.state.intents.empty());
  CHECK(again.state.next_serial == 5);
}

TEST_CASE("journal: wherever a write was cut off, all before it is read") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/journal";
  {
    Journal::Opened journal = opened(path);
    REQUIRE(journal.journal.intent(1, measure::Uuid{std::byte{1}}));
  }
  const std::string first = file_text(path);
  {
    Result<Journal::Opened> journal = Journal::open(path);
    REQUIRE(journal);
    REQUIRE(journal->journal.intent(2, measure::Uuid{std::byte{2}}));
  }
  const std::string both = file_text(path);
  REQUIRE(both.size() > first.size());
  for (std::size_t length = first.size() + 1; length < both.size(); ++length) {
    write_file(path, both.substr(0, length));
    const Journal::Opened torn = opened(path);
    CHECK(torn.cut);
    CHECK(torn.state.intents.size() == 1);
    CHECK_FALSE(opened(path).cut); // it was written anew without the rest
  }
}

TEST_CASE("journal: an entry of an unknown kind or an absurd length is refused") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/journal";
  for (const std::string& text :
       {std::string("\x01\x00\x00\x00\x63", 5), std::string("\xff\xff\xff\xff\x01", 5),
        std::string("\x03\x00\x00\x00\x02\x01\x01", 7), std::string("\x00\x00\x00\x00", 4)}) {
    write_file(path, version_entry(3) + text);
    const auto journal = Journal::open(path);
    REQUIRE_FALSE(journal);
    CHECK(journal.error().code == ErrorCode::invalid);
  }
}

TEST_CASE("journal: one of another version is refused and left as it is, and says what to do") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/journal";
  const std::string counter("\x09\x00\x00\x00\x01\x05\x00\x00\x00\x00\x00\x00\x00", 13);
  const auto refused = [&](const std::string& text, const std::string& why) {
    write_file(path, text);
    const auto journal = Journal::open(path);
    REQUIRE_FALSE(journal);
    CHECK(journal.error().code == ErrorCode::unsupported);
    CHECK(journal.error().why.find(why) != std::string::npos);
    CHECK(journal.error().why.find("reboot the machine") != std::string::npos);
    CHECK(file_text(path) == text);
  };
  refused(counter, "says no version"); // as builders wrote it before there were versions
  refused(version_entry(2) + counter, "has version 2, and this builder's have 3");
  refused(version_entry(4) + counter, "has version 4");
  write_file(path, version_entry(3) + counter);
  CHECK(opened(path).state.next_serial == 5);
  write_file(path, version_entry(3) + version_entry(3));
  CHECK_FALSE(Journal::open(path).has_value());
  write_file(path, std::string("\x01\x00\x00\x00\x0a", 5)); // without its number
  CHECK_FALSE(Journal::open(path).has_value());
}

TEST_CASE("journal: it is written anew when it has grown, and loses nothing") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/journal";
  const Domain domain = full_domain(1);
  std::uint64_t largest = 0;
  {
    Journal::Opened journal = opened(path);
    REQUIRE(journal.journal.intent(9, measure::Uuid{std::byte{9}}));
    for (int i = 0; i < 6000; ++i) {
      REQUIRE(journal.journal.built(domain));
      largest = std::max<std::uint64_t>(largest, std::filesystem::file_size(path));
    }
    CHECK(std::filesystem::file_size(path) < largest);
    REQUIRE(journal.journal.started(1));
  }
  CHECK(largest < journal_slack_bytes + (1u << 20));
  const Journal::Opened again = opened(path);
  CHECK(again.state.domains.size() == 1);
  CHECK(again.state.started.contains(1));
  CHECK(again.state.intents.contains(9));
}

TEST_CASE("journal: an entry that did not fit leaves nothing, and later ones are read") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/journal";
  {
    Journal::Opened journal = opened(path);
    REQUIRE(journal.journal.intent(1, measure::Uuid{std::byte{1}}));
    {
      const WriteLimit full(path, 10); // in the middle of the entry
      CHECK_FALSE(journal.journal.intent(2, measure::Uuid{std::byte{2}}));
    }
    REQUIRE(journal.journal.intent(3, measure::Uuid{std::byte{3}}));
  }
  const Journal::Opened again = opened(path);
  CHECK_FALSE(again.cut);
  CHECK(again.state.intents.size() == 2);
  CHECK_FALSE(again.state.intents.contains(2));
}

TEST_CASE("journal: a new file that did not fit is removed: it would take the old one's room") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/journal";
  REQUIRE(opened(path).journal.intent(1, measure::Uuid{std::byte{1}}));
  const std::string before = file_text(path);
  const std::string small = directory.path() + "/small";
  write_file(small, "0123456789");
  {
    const WriteLimit full(small, 0);
    CHECK_FALSE(Journal::open(path));
  }
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
  CHECK(file_text(path) == before);
}

TEST_CASE("journal: only its owner may read it") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/journal";
  const Journal::Opened journal = opened(path);
  const auto mode = std::filesystem::status(path).permissions();
  CHECK((mode & std::filesystem::perms::all) ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
}
