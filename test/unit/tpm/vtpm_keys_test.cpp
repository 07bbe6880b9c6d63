// SPDX-License-Identifier: LGPL-2.1-or-later
// The keys that the TPM Manager keeps for vTPMs: whose they are, and how often they may be saved.
#include <doctest/doctest.h>

#include "ashlar/tpm/limits.hpp"
#include "vtpm_serving.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

TEST_CASE("vtpm service: a key is given back to the same guest alone, over a restart too") {
  Serving s;
  s.connect(vtpm);
  s.connect(other_vtpm);
  CHECK(s.status(vtpm, VtpmOrdinal::load_hash_key) == VtpmStatus::no_key);
  CHECK(s.status(vtpm, VtpmOrdinal::save_hash_key, key_of(std::byte{7})) == VtpmStatus::success);
  CHECK(s.ask(vtpm, VtpmOrdinal::load_hash_key).body == key_of(std::byte{7}));
  CHECK(s.status(other_vtpm, VtpmOrdinal::load_hash_key) == VtpmStatus::no_key);
  const auto again = KeyStore::open(std::make_unique<FakeKeyFile>(s.disk));
  REQUIRE(again.has_value());
  VtpmService service(*s.manager, **again, s.quoter);
  REQUIRE(service.connected(vtpm));
  const auto loaded = decode_vtpm_response(
      service.answer(vtpm, encode(VtpmRequest{VtpmOrdinal::load_hash_key, {}})));
  CHECK(loaded->body == key_of(std::byte{7}));
}

TEST_CASE("vtpm service: a stock vTPM's 52 bytes are a key, other lengths are none") {
  Serving s;
  s.connect(vtpm);
  CHECK(s.status(vtpm, VtpmOrdinal::save_hash_key, key_of(std::byte{1}, short_key_bytes)) ==
        VtpmStatus::success);
  for (const std::size_t size : {0U, 1U, 51U, 53U, 63U, 65U, 4000U})
    CHECK(s.status(vtpm, VtpmOrdinal::save_hash_key, key_of(std::byte{2}, size)) ==
          VtpmStatus::bad_parameter);
  CHECK(s.ask(vtpm, VtpmOrdinal::load_hash_key).body == key_of(std::byte{1}, short_key_bytes));
}

TEST_CASE("vtpm service: a key that could not be written is not said to be saved") {
  Serving s;
  s.connect(vtpm);
  s.connect(other_vtpm);
  REQUIRE(s.status(vtpm, VtpmOrdinal::save_hash_key, key_of(std::byte{1})) == VtpmStatus::success);
  s.disk.fails = true;
  const Bytes reason = s.ask(vtpm, VtpmOrdinal::save_hash_key, key_of(std::byte{2})).body;
  CHECK(std::string(reinterpret_cast<const char*>(reason.data()), reason.size()) ==
        "writing: the test's disk is full");
  CHECK(s.status(other_vtpm, VtpmOrdinal::save_hash_key, key_of(std::byte{3})) ==
        VtpmStatus::failed);
  s.disk.fails = false;
  CHECK(s.ask(vtpm, VtpmOrdinal::load_hash_key).body == key_of(std::byte{1}));
  CHECK(s.status(other_vtpm, VtpmOrdinal::load_hash_key) == VtpmStatus::no_key);
}

TEST_CASE("vtpm service: two requesters' guests with one UUID have a key each") {
  Serving s;
  s.connect(vtpm);
  REQUIRE(s.status(vtpm, VtpmOrdinal::save_hash_key, key_of(std::byte{1})) == VtpmStatus::success);
  measure::Record other = guest_record(7, "kernel of 7", "another tenant");
  other.uuid = guest_record(guest, "").uuid;
  s.put(other);
  s.put(vtpm_record(17));
  s.bind(7, 17);
  s.connect(17);
  CHECK(s.status(17, VtpmOrdinal::load_hash_key) == VtpmStatus::no_key);
  CHECK(s.status(17, VtpmOrdinal::save_hash_key, key_of(std::byte{9})) == VtpmStatus::success);
  CHECK(s.ask(17, VtpmOrdinal::load_hash_key).body == key_of(std::byte{9}));
  CHECK(s.ask(vtpm, VtpmOrdinal::load_hash_key).body == key_of(std::byte{1}));
}

TEST_CASE("vtpm service: what one guest may write of the TPM's memory has a limit") {
  Serving s;
  s.connect(vtpm);
  for (std::uint32_t i = 0; i < max_key_saves; ++i) {
    REQUIRE(s.status(vtpm, VtpmOrdinal::save_hash_key, key_of(std::byte{1})) ==
            VtpmStatus::success);
    s.now += key_save_pause;
  }
  CHECK(s.disk.writes == 2); // the empty table, and one: the same key is not written again
  s.service.disconnected(vtpm);
  s.connect(vtpm); // a new connection gives no new allowance
  CHECK(s.status(vtpm, VtpmOrdinal::save_hash_key, key_of(std::byte{2})) == VtpmStatus::failed);
  // Nor does a guest that is built anew, as when it reboots; another one has its own.
  measure::Record again = guest_record(7, "kernel of 7");
  again.uuid = guest_record(guest, "").uuid;
  s.put(again);
  s.put(vtpm_record(17));
  s.bind(7, 17);
  s.connect(17);
  CHECK(s.status(17, VtpmOrdinal::save_hash_key, key_of(std::byte{2})) == VtpmStatus::failed);
  s.connect(other_vtpm);
  CHECK(s.status(other_vtpm, VtpmOrdinal::save_hash_key, key_of(std::byte{3})) ==
        VtpmStatus::success);
}

TEST_CASE("vtpm service: who saves too often is told to ask later, and others are not") {
  Serving s;
  s.connect(vtpm);
  s.connect(other_vtpm);
  const auto save = [&s](std::uint32_t domid) {
    return s.status(domid, VtpmOrdinal::save_hash_key, key_of(std::byte{1}));
  };
  for (std::uint32_t i = 0; i < key_save_burst; ++i)
    REQUIRE(save(vtpm) == VtpmStatus::success);
  CHECK(save(vtpm) == VtpmStatus::too_often);
  CHECK(save(other_vtpm) == VtpmStatus::success);
  s.now += key_save_pause;
  CHECK(save(vtpm) == VtpmStatus::success);
  CHECK(save(vtpm) == VtpmStatus::too_often);
}

TEST_CASE("vtpm service: while the store of keys takes too long the vTPM is told to ask later") {
  Serving s;
  s.connect(vtpm);
  s.disk.error = ErrorCode::timeout;
  s.disk.fails = true;
  const VtpmResponse response = s.ask(vtpm, VtpmOrdinal::save_hash_key, key_of(std::byte{2}));
  CHECK(response.status == VtpmStatus::too_often);
  CHECK_FALSE(response.body.empty());
}
