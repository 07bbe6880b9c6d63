// SPDX-License-Identifier: LGPL-2.1-or-later
// A vTPM gets its own guest's measurement and key, as long as both hold: by direct calls, as from
// tpmif.
#include <doctest/doctest.h>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/limits.hpp"
#include "ashlar/tpm/vtpm_service.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

using Bytes = std::vector<std::byte>;

// Serials are the domids; 5 and 6 are guests, 15 and 16 their vTPMs.
constexpr std::uint32_t guest = 5;
constexpr std::uint32_t other_guest = 6;
constexpr std::uint32_t vtpm = 15;
constexpr std::uint32_t other_vtpm = 16;

measure::Event file_event(measure::EventType type, const std::string& content) {
  measure::Event event;
  event.type = type;
  event.size = content.size();
  event.digests = *measure::digest(as_bytes(content));
  return event;
}

measure::Record guest_record(std::uint32_t domid, const std::string& kernel,
                             const std::string& requester = "tenant") {
  measure::Record record = make_record(domid, domid);
  record.uuid[15] = static_cast<std::byte>(domid);
  record.requester = requester;
  record.events.push_back(file_event(measure::EventType::kernel, kernel));
  return record;
}

measure::Record vtpm_record(std::uint32_t domid, const std::string& kernel = "vk") {
  measure::Record record = make_record(domid, domid);
  record.events.push_back(file_event(measure::EventType::kernel, kernel));
  record.events.push_back(file_event(measure::EventType::initrd, "vi"));
  return record;
}

ApprovedImages approved_images() {
  const auto hex = [](const std::string& content) {
    return to_hex(measure::digest(as_bytes(content))->sha256);
  };
  return *ApprovedImages::parse(fmt::format("{} {}\n", hex("vk"), hex("vi")), "images");
}

class FakeQuoter final : public Quoter {
public:
  [[nodiscard]] Result<Quote> quote(const measure::Sha256& qualifying) override {
    if (fails)
      return failure(ErrorCode::io, "quoting", "the test's TPM is dead");
    asked = qualifying;
    return Quote{Bytes(3, std::byte{1}), Bytes(2, std::byte{2}), Bytes(1, std::byte{3}), {}};
  }
  [[nodiscard]] std::span<const std::byte> attestation_key() const override { return {}; }
  [[nodiscard]] Result<std::map<std::uint32_t, measure::Sha256>> pcrs() override {
    return std::map<std::uint32_t, measure::Sha256>{};
  }
  [[nodiscard]] Result<Endorsement> endorsement() override { return Endorsement{}; }
  [[nodiscard]] Result<Bytes> activate(std::span<const std::byte>,
                                       std::span<const std::byte>) override {
    return Bytes{};
  }
  bool fails = false;
  measure::Sha256 asked{};
};

/// A file in memory that outlives its stores.
struct Disk {
  std::optional<Bytes> content;
  bool fails = false;
  ErrorCode error = ErrorCode::io;
  int writes = 0;
};
class FakeKeyFile final : public KeyFile {
public:
  explicit FakeKeyFile(Disk& disk) : disk_(disk) {}
  [[nodiscard]] Result<std::optional<Bytes>> read() override { return disk_.content; }
  [[nodiscard]] Status write(std::span<const std::byte> table) override {
    if (disk_.fails)
      return failure(disk_.error, "writing", "the test's disk is full");
    ++disk_.writes;
    disk_.content.emplace(table.begin(), table.end());
    return {};
  }

private:
  Disk& disk_;
};

struct Serving {
  TemporaryDirectory directory;
  Machine machine;
  std::unique_ptr<Manager> manager = start();
  Disk disk;
  std::unique_ptr<KeyStore> keys = *KeyStore::open(std::make_unique<FakeKeyFile>(disk));
  FakeQuoter quoter;
  Allowance::Time now{};
  VtpmService service{*manager, *keys, quoter, [this] { return now; }};

  Serving() {
    put(guest_record(guest, "kernel of 5"));
    put(guest_record(other_guest, "kernel of 6"));
    put(vtpm_record(vtpm));
    put(vtpm_record(other_vtpm));
    bind(guest, vtpm);
    bind(other_guest, other_vtpm);
  }
  [[nodiscard]] std::unique_ptr<Manager> start(ApprovedImages approved = approved_images()) {
    auto started = Manager::start(directory.path(), 13, make_tpm(machine), std::move(approved));
    REQUIRE(started.has_value());
    return *std::move(started);
  }
  void put(const measure::Record& record) { REQUIRE(manager->put(encoded(record))); }
  void bind(std::uint64_t guest_serial, std::uint64_t vtpm_serial) {
    REQUIRE(manager->bind({.guest_serial = guest_serial,
                           .vtpm_serial = vtpm_serial,
                           .version = measure::Vtpm::tpm12,
                           .profile = measure::Profile::pv_grub}));
  }
  void connect(std::uint32_t domid) { REQUIRE(service.connected(domid)); }
  [[nodiscard]] VtpmResponse ask(std::uint32_t domid, VtpmOrdinal ordinal, Bytes body = {}) {
    const auto response =
        decode_vtpm_response(service.answer(domid, encode(VtpmRequest{ordinal, std::move(body)})));
    REQUIRE(response.has_value());
    if (response->status != VtpmStatus::success)
      CHECK(response->body.size() <= max_vtpm_reason_bytes);
    return *response;
  }
  [[nodiscard]] VtpmStatus status(std::uint32_t domid, VtpmOrdinal ordinal, Bytes body = {}) {
    return ask(domid, ordinal, std::move(body)).status;
  }
};

Bytes offset(std::uint32_t value) {
  return {static_cast<std::byte>(value >> 24), static_cast<std::byte>(value >> 16),
          static_cast<std::byte>(value >> 8), static_cast<std::byte>(value)};
}

Bytes key_of(std::byte fill, std::size_t size = long_key_bytes) {
  return Bytes(size, fill);
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
  for (const std::size_t size : {0, 1, 51, 53, 63, 65, 4000})
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
