// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/journal.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

std::vector<std::byte> one() {
  return encoded(make_record(1, 5));
}
std::vector<std::byte> two() {
  return encoded(make_record(2, 6));
}

Journal open(const TemporaryDirectory& directory, JournalState& state) {
  auto journal = Journal::open(directory.path(), state);
  REQUIRE_MESSAGE(journal.has_value(), journal.error().message());
  return *std::move(journal);
}

JournalState read_back(const TemporaryDirectory& directory) {
  JournalState state;
  static_cast<void>(open(directory, state));
  return state;
}

std::string file(const TemporaryDirectory& directory) {
  return directory.path() + "/log";
}

} // namespace

TEST_CASE("journal: an intent without its end is told, one with its end is in the ledger") {
  const TemporaryDirectory directory;
  {
    JournalState state;
    Journal journal = open(directory, state);
    REQUIRE(journal.intent(one()));
    REQUIRE(journal.extended(1));
    REQUIRE(journal.intent(two()));
    REQUIRE(journal.revoked(2));
    REQUIRE(journal.revoked(9));
  }
  for (int round = 0; round < 2; ++round) { // the second reads what the first wrote anew
    const JournalState state = read_back(directory);
    REQUIRE(state.intent.has_value());
    CHECK(state.intent->event.encoded == two());
    CHECK(state.intent->revoked);
    CHECK(state.ledger.log().size() == 1);
    CHECK(state.ledger.find_domid(5));
    CHECK(state.ledger.unknown_revocations().contains(9));
  }
}

TEST_CASE("journal: an event whose record was forgotten stays in the log with its digests") {
  const TemporaryDirectory directory;
  PcrValue pcr;
  {
    JournalState state;
    Journal journal = open(directory, state);
    LogEvent event = *log_event(one());
    event.encoded.clear();
    REQUIRE(state.ledger.add(event));
    REQUIRE(state.ledger.add(*log_event(two())));
    pcr = state.ledger.pcr();
    // Grows it to where it is written anew, from the state.
    for (std::uint64_t bytes = 0; bytes <= journal_slack_bytes; bytes += 13)
      REQUIRE(journal.revoked(1));
    const auto grown = std::filesystem::file_size(file(directory));
    journal.compact(state);
    CHECK(std::filesystem::file_size(file(directory)) < grown / 100);
  }
  const JournalState state = read_back(directory);
  REQUIRE(state.ledger.find(1));
  CHECK(state.ledger.find(1)->revoked);
  CHECK(state.ledger.find(1)->encoded.empty());
  CHECK(state.ledger.pcr() == pcr);
}

TEST_CASE("journal: cut anywhere, it reads as what was complete, or as a state before it") {
  const TemporaryDirectory directory;
  {
    JournalState state;
    Journal journal = open(directory, state);
    REQUIRE(journal.intent(one()));
    REQUIRE(journal.extended(1));
  }
  const auto whole = std::filesystem::file_size(file(directory));
  std::filesystem::resize_file(file(directory), whole - 1);
  const JournalState state = read_back(directory);
  CHECK(state.intent.has_value());
  CHECK(state.ledger.log().empty());
  std::filesystem::resize_file(file(directory), 10);
  const JournalState empty = read_back(directory);
  CHECK_FALSE(empty.intent.has_value());
}

TEST_CASE("journal: damage is an error, not an empty log") {
  const TemporaryDirectory directory;
  std::string damage;
  SUBCASE("an entry that is too long") {
    damage = std::string(8, '\x7f');
  }
  SUBCASE("an unknown kind") {
    damage = std::string("\x09\0\0\0\x63\1\0\0\0\0\0\0\0", 13);
  }
  SUBCASE("an extension without its intent") {
    damage = std::string("\x09\0\0\0\2\1\0\0\0\0\0\0\0", 13);
  }
  SUBCASE("an intent that is no record") {
    damage = std::string("\x02\0\0\0\1x", 6);
  }
  std::ofstream(file(directory)) << damage;
  JournalState state;
  const auto opened = Journal::open(directory.path(), state);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == ErrorCode::invalid);
}

TEST_CASE("journal: a second manager in the same directory is refused") {
  const TemporaryDirectory directory;
  JournalState state;
  const Journal journal = open(directory, state);
  JournalState other;
  const auto refused = Journal::open(directory.path(), other);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::busy);
}
