// SPDX-License-Identifier: LGPL-2.1-or-later
// A vTPM gets its own guest's measurement and key, as long as both hold: by direct calls, as from
// tpmif.
#include <doctest/doctest.h>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "vtpm_serving.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

Bytes offset(std::uint32_t value) {
  return {static_cast<std::byte>(value >> 24), static_cast<std::byte>(value >> 16),
          static_cast<std::byte>(value >> 8), static_cast<std::byte>(value)};
}

constexpr VtpmOrdinal all_ordinals[] = {
    VtpmOrdinal::save_hash_key,      VtpmOrdinal::load_hash_key,   VtpmOrdinal::get_boot_hash,
    VtpmOrdinal::get_quote,          VtpmOrdinal::get_measurement, VtpmOrdinal::get_tpm2_quote,
    VtpmOrdinal::get_host_log,       VtpmOrdinal::get_guest_quote, VtpmOrdinal::get_host_keys,
    VtpmOrdinal::activate_credential};

} // namespace

TEST_CASE("vtpm service: two vTPMs get the records of their own guests, and not each other's") {
  Serving s;
  s.connect(vtpm);
  s.connect(other_vtpm);
  for (const std::uint32_t number : {guest, other_guest}) {
    const VtpmResponse response = s.ask(number + 10, VtpmOrdinal::get_measurement, offset(0));
    REQUIRE(response.status == VtpmStatus::success);
    const auto part = decode_measurement_part(response.body);
    REQUIRE(part.has_value());
    CHECK(part->bytes == encoded(guest_record(number, fmt::format("kernel of {}", number))));
    CHECK(part->total == part->bytes.size());
    CHECK(part->tpm_version == 1);
    CHECK(part->profile == 2);
    const VtpmResponse hash = s.ask(number + 10, VtpmOrdinal::get_boot_hash);
    REQUIRE(hash.status == VtpmStatus::success);
    const measure::Sha1 wanted =
        measure::digest(as_bytes(fmt::format("kernel of {}", number)))->sha1;
    CHECK(hash.body == Bytes(wanted.begin(), wanted.end()));
  }
}

TEST_CASE("vtpm service: a long record comes in parts that fit a packet") {
  Serving s;
  measure::Record record = guest_record(7, "kernel of 7");
  for (int i = 0; i < 20; ++i) {
    record.events.push_back(file_event(measure::EventType::initrd, fmt::format("initrd {}", i)));
    record.events.back().label = std::string(measure::max_label_bytes, 'i');
  }
  s.put(record);
  s.put(vtpm_record(17));
  s.bind(7, 17);
  s.connect(17);
  Bytes all;
  int round_trips = 0;
  do {
    const auto packet =
        s.service.answer(17, encode(VtpmRequest{VtpmOrdinal::get_measurement,
                                                offset(static_cast<std::uint32_t>(all.size()))}));
    CHECK(packet.size() <= ipc::max_tpmif_packet_bytes);
    const auto part = decode_measurement_part(decode_vtpm_response(packet)->body);
    REQUIRE(part.has_value());
    CHECK(part->offset == all.size());
    all.insert(all.end(), part->bytes.begin(), part->bytes.end());
    if (++round_trips == 2)
      CHECK(all.size() == part->total);
  } while (round_trips < 2);
  CHECK(all == encoded(record));
  CHECK(s.status(17, VtpmOrdinal::get_measurement,
                 offset(static_cast<std::uint32_t>(all.size() + 1))) == VtpmStatus::bad_parameter);
}

TEST_CASE("vtpm service: who is no vTPM is not let in, and gets nothing without a connection") {
  Serving s;
  s.put(vtpm_record(20)); // approved images, bound to nobody
  for (const std::uint32_t domid : {99U, guest, 20U}) {
    const Status connected = s.service.connected(domid);
    REQUIRE_FALSE(connected.has_value());
    CHECK(connected.error().code == ErrorCode::denied);
    for (const VtpmOrdinal ordinal : all_ordinals)
      CHECK(s.status(domid, ordinal) == VtpmStatus::denied);
  }
  for (const VtpmOrdinal ordinal : all_ordinals) // bound, but not connected
    CHECK(s.status(vtpm, ordinal) == VtpmStatus::denied);
}

TEST_CASE("vtpm service: a second connection is refused while one is open") {
  Serving s;
  s.connect(vtpm);
  CHECK_FALSE(s.service.connected(vtpm).has_value());
  CHECK(s.status(vtpm, VtpmOrdinal::get_boot_hash) == VtpmStatus::success);
  s.service.disconnected(vtpm);
  CHECK(s.status(vtpm, VtpmOrdinal::get_boot_hash) == VtpmStatus::denied);
  s.connect(vtpm);
}

TEST_CASE("vtpm service: a revocation of either record ends an open connection's rights") {
  for (const std::uint64_t revoked : {guest, vtpm}) {
    Serving s;
    s.connect(vtpm);
    s.connect(other_vtpm);
    REQUIRE(s.manager->revoke(revoked));
    for (const VtpmOrdinal ordinal : all_ordinals)
      CHECK(s.status(vtpm, ordinal) == VtpmStatus::denied);
    s.service.disconnected(vtpm);
    CHECK_FALSE(s.service.connected(vtpm).has_value());
    CHECK(s.status(other_vtpm, VtpmOrdinal::get_boot_hash) == VtpmStatus::success);
  }
}

TEST_CASE("vtpm service: a reused domid does not inherit the connection") {
  Serving s;
  s.connect(vtpm);
  REQUIRE(s.manager->revoke(vtpm));
  REQUIRE(s.manager->revoke(guest));
  measure::Record next_guest = guest_record(guest, "kernel of the next");
  next_guest.serial = 30;
  measure::Record next_vtpm = vtpm_record(vtpm);
  next_vtpm.serial = 31;
  s.put(next_guest);
  s.put(next_vtpm);
  s.bind(30, 31);
  CHECK(s.status(vtpm, VtpmOrdinal::get_boot_hash) == VtpmStatus::denied);
  s.service.disconnected(vtpm);
  s.connect(vtpm);
  CHECK(s.status(vtpm, VtpmOrdinal::get_boot_hash) == VtpmStatus::success);
}

TEST_CASE("vtpm service: after a restart with other approved images, nobody of before is served") {
  Serving s;
  s.manager.reset();
  s.manager = s.start({});
  VtpmService service(*s.manager, *s.keys, s.quoter);
  REQUIRE(s.manager->bindings().of_vtpm(vtpm)); // the journal has it
  CHECK_FALSE(service.connected(vtpm).has_value());
  s.manager.reset();
  s.manager = s.start();
  VtpmService again(*s.manager, *s.keys, s.quoter);
  CHECK(again.connected(vtpm).has_value());
}

TEST_CASE("vtpm service: a guest without a kernel event has no boot hash, not one of zeros") {
  Serving s;
  s.put(make_record(7, 7));
  s.put(vtpm_record(17));
  s.bind(7, 17);
  s.connect(17);
  CHECK(s.status(17, VtpmOrdinal::get_boot_hash) == VtpmStatus::failed);
}

TEST_CASE("vtpm service: a quote is qualified with the nonce and the guest's record") {
  Serving s;
  s.connect(vtpm);
  const Bytes nonce(quote_nonce_bytes, std::byte{0x5a});
  const VtpmResponse response = s.ask(vtpm, VtpmOrdinal::get_tpm2_quote, nonce);
  REQUIRE(response.status == VtpmStatus::success);
  CHECK(to_hex(response.body) == "0003010101"
                                 "00020202"
                                 "000103");
  std::string covered("ashlar-guest-quote-1");
  covered.push_back('\0');
  covered.append(reinterpret_cast<const char*>(nonce.data()), nonce.size());
  const measure::Sha256 record =
      measure::digest(encoded(guest_record(guest, "kernel of 5")))->sha256;
  covered.append(reinterpret_cast<const char*>(record.data()), record.size());
  CHECK(s.quoter.asked == measure::digest(as_bytes(covered))->sha256);
  CHECK(s.status(vtpm, VtpmOrdinal::get_tpm2_quote, Bytes(31)) == VtpmStatus::bad_parameter);
  s.quoter.fails = true;
  CHECK(s.status(vtpm, VtpmOrdinal::get_tpm2_quote, nonce) == VtpmStatus::failed);
}

TEST_CASE("vtpm service: requests that are none are answered with a status, and change nothing") {
  Serving s;
  s.connect(vtpm);
  CHECK(s.status(vtpm, VtpmOrdinal::get_quote, Bytes(30)) == VtpmStatus::bad_ordinal);
  CHECK(s.status(vtpm, VtpmOrdinal{77}) == VtpmStatus::bad_ordinal);
  CHECK(s.status(vtpm, VtpmOrdinal::load_hash_key, Bytes(1)) == VtpmStatus::bad_parameter);
  CHECK(s.status(vtpm, VtpmOrdinal::get_boot_hash, Bytes(1)) == VtpmStatus::bad_parameter);
  CHECK(s.status(vtpm, VtpmOrdinal::get_measurement, Bytes(3)) == VtpmStatus::bad_parameter);
  const auto answer = [&s](const char* hex) {
    return to_hex(s.service.answer(vtpm, *from_hex(hex)));
  };
  CHECK(answer("") == "01c40000000a00000003");
  CHECK(answer("01c10000000b00000002") == "01c40000000a00000003"); // says that it is longer
  CHECK(answer("01c20000000a00000002") == "01c40000000a00000003"); // management
  CHECK(answer("00c10000000a00000046") == "00c40000000a0000000a"); // for the hardware TPM
  CHECK(answer("800100000000000000000000") == "01c40000000a00000003");
}
