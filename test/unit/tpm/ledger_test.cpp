// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>
#include <malloc.h>

#include "ashlar/tpm/ledger.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

using Verdict = Ledger::Verdict;

LogEvent event_of(const measure::Record& record) {
  LogEvent event;
  event.serial = record.serial;
  event.domid = record.domid;
  event.encoded = encoded(record);
  event.digests = *measure::digest(event.encoded);
  return event;
}

Result<Verdict> judge(const Ledger& ledger, const measure::Record& record) {
  return ledger.judge(record, event_of(record).digests);
}

void add(Ledger& ledger, std::uint64_t serial, std::uint32_t domid) {
  const measure::Record record = make_record(serial, domid);
  REQUIRE(judge(ledger, record) == Verdict::fresh);
  REQUIRE(ledger.add(event_of(record)));
}

ErrorCode refusal(const Ledger& ledger, const measure::Record& record) {
  const auto verdict = judge(ledger, record);
  REQUIRE_FALSE(verdict.has_value());
  return verdict.error().code;
}

// Bytes that this process has from the allocator, large blocks included.
std::size_t allocated_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

} // namespace

TEST_CASE("ledger: finds a record by its serial and by its domain") {
  Ledger ledger;
  add(ledger, 1, 5);
  add(ledger, 2, 6);
  REQUIRE(ledger.find(2));
  CHECK(ledger.find(2)->domid == 6);
  REQUIRE(ledger.find_domid(5));
  CHECK(ledger.find_domid(5)->serial == 1);
  CHECK(ledger.find_domid(5)->encoded == encoded(make_record(1, 5)));
  CHECK_FALSE(ledger.find(3));
  CHECK_FALSE(ledger.find_domid(7));
  CHECK(ledger.last_serial() == 2);
}

TEST_CASE("ledger: the same bytes again are known, other bytes under their serial are refused") {
  Ledger ledger;
  add(ledger, 1, 5);
  CHECK(judge(ledger, make_record(1, 5)) == Verdict::known);
  CHECK(refusal(ledger, make_record(1, 5, "init=/bin/sh")) == ErrorCode::exists);
  CHECK(refusal(ledger, make_record(1, 6)) == ErrorCode::exists);
}

TEST_CASE("ledger: a domain with a record gets no second one before the first is revoked") {
  Ledger ledger;
  add(ledger, 1, 5);
  CHECK(refusal(ledger, make_record(2, 5)) == ErrorCode::exists);
  REQUIRE(ledger.revoke(1));
  CHECK_FALSE(ledger.find_domid(5));
  add(ledger, 2, 5);
  CHECK(ledger.find_domid(5)->serial == 2);
  SUBCASE("and revoking the first again takes nothing from the second") {
    REQUIRE(ledger.revoke(1));
    REQUIRE(ledger.find_domid(5));
    CHECK(ledger.find_domid(5)->serial == 2);
  }
}

TEST_CASE("ledger: a revoked record does not come back") {
  Ledger ledger;
  add(ledger, 1, 5);
  REQUIRE(ledger.revoke(1));
  CHECK(refusal(ledger, make_record(1, 5)) == ErrorCode::denied);
  CHECK(ledger.log().size() == 1);
}

TEST_CASE("ledger: a record that was revoked before it came never comes") {
  Ledger ledger;
  REQUIRE(ledger.revoke(7));
  CHECK(refusal(ledger, make_record(7, 5)) == ErrorCode::denied);
  CHECK(judge(ledger, make_record(8, 5)) == Verdict::fresh);
}

TEST_CASE("ledger: serials may be late within the window and not below it, and are never 0") {
  Ledger ledger;
  add(ledger, 2000, 5);
  CHECK(judge(ledger, make_record(2000 - serial_window, 6)) == Verdict::fresh);
  CHECK(refusal(ledger, make_record(2000 - serial_window - 1, 6)) == ErrorCode::invalid);
  CHECK(refusal(ledger, make_record(0, 6)) == ErrorCode::invalid);
}

TEST_CASE("ledger: the number of revocations without a record is limited") {
  Ledger ledger;
  for (std::uint64_t serial = 1; serial <= max_unknown_revocations; ++serial)
    REQUIRE(ledger.revoke(serial));
  const Status refused = ledger.revoke(max_unknown_revocations + 1);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::limit);
  CHECK(ledger.revoke(1)); // known already
  SUBCASE("those below the window make room: their records would not be taken anyway") {
    add(ledger, 2 * serial_window + max_unknown_revocations, 1);
    CHECK(ledger.revoke(max_unknown_revocations + serial_window + 1));
    CHECK(refusal(ledger, make_record(1, 9)) == ErrorCode::invalid);
  }
}

TEST_CASE("ledger: holds 10,000 records in 64 MiB, and not one more") {
  const std::size_t before = allocated_bytes();
  Ledger ledger;
  const std::string command_line(2000, 'x');
  for (std::uint32_t i = 1; i <= max_live_records; ++i)
    REQUIRE(ledger.add(event_of(make_record(i, i, command_line))));
  CHECK(allocated_bytes() - before <= std::size_t{64} << 20);
  const std::uint32_t next = max_live_records + 1;
  CHECK(refusal(ledger, make_record(next, next)) == ErrorCode::limit);
  REQUIRE(ledger.revoke(1));
  CHECK(judge(ledger, make_record(next, next)) == Verdict::fresh);
}

TEST_CASE("ledger: when records need room, revoked ones give up their bytes but not their event") {
  Ledger ledger;
  LogEvent first = event_of(make_record(1, 1));
  const measure::Digests digests = first.digests;
  REQUIRE(ledger.add(std::move(first)));
  REQUIRE(ledger.revoke(1));
  LogEvent large = event_of(make_record(2, 2));
  large.encoded.resize(max_kept_record_bytes);
  REQUIRE(ledger.add(std::move(large)));
  REQUIRE(ledger.find(1));
  CHECK(ledger.find(1)->encoded.empty());
  CHECK(ledger.find(1)->digests == digests);
  CHECK(refusal(ledger, make_record(1, 1)) == ErrorCode::denied);
  // Nothing that may go is left now.
  CHECK(refusal(ledger, make_record(3, 3)) == ErrorCode::limit);
}

TEST_CASE("ledger: its PCR value is the fold of the records' digests in their order") {
  Ledger ledger;
  add(ledger, 1, 5);
  add(ledger, 2, 6);
  const auto one = encoded(make_record(1, 5));
  const auto two = encoded(make_record(2, 6));
  CHECK(ledger.pcr().sha256 == replay_sha256({one, two}));
  CHECK(ledger.pcr().sha256 != replay_sha256({two, one}));
  REQUIRE(ledger.revoke(1)); // a log only grows
  CHECK(ledger.pcr().sha256 == replay_sha256({one, two}));
}
