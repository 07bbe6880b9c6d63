// SPDX-License-Identifier: LGPL-2.1-or-later
// What a guest gets to show to others: the whole log's digests, and a quote that is bound to its
// own record, to that log, and to the key that its vTPM names.
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/evidence_message.hpp"
#include "ashlar/tpm/evidence_service.hpp"
#include "ashlar/tpm/limits.hpp"
#include "fake_quoter.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint64_t vtpm = 15; // serials of two vTPMs
constexpr std::uint64_t other_vtpm = 16;

struct Desk {
  TemporaryDirectory directory;
  Machine machine;
  std::unique_ptr<Manager> manager;
  FakeQuoter quoter{machine};
  Allowance::Time now{};
  std::unique_ptr<EvidenceService> service;

  explicit Desk(std::uint32_t records) {
    auto started = Manager::start(directory.path(), 13, make_tpm(machine));
    REQUIRE(started.has_value());
    manager = *std::move(started);
    for (std::uint32_t i = 1; i <= records; ++i)
      REQUIRE(manager->put(encoded(make_record(i, i))));
    service = std::make_unique<EvidenceService>(*manager, quoter, [this] { return now; });
  }
  [[nodiscard]] Bytes request(std::uint32_t events) const {
    GuestQuoteRequest out;
    out.nonce.fill(std::byte{0x5a});
    out.key.fill(std::byte{0x7b});
    out.events = events;
    return encode(out);
  }
  [[nodiscard]] VtpmResponse quote(std::uint64_t serial, std::uint32_t events,
                                   std::uint64_t guest = 1) {
    return service->guest_quote(*manager->ledger().find(guest), serial, request(events));
  }
};

Bytes number(std::uint32_t value) {
  return {static_cast<std::byte>(value >> 24), static_cast<std::byte>(value >> 16),
          static_cast<std::byte>(value >> 8), static_cast<std::byte>(value)};
}

measure::Sha256 sha256(const Bytes& bytes) {
  return measure::digest(bytes)->sha256;
}

void append(Bytes& out, std::span<const std::byte> more) {
  out.insert(out.end(), more.begin(), more.end());
}

} // namespace

TEST_CASE("evidence service: the parts of the host log replay to the host PCR") {
  Desk desk(300);
  Bytes log;
  int parts = 0;
  do {
    const auto response =
        desk.service->host_log(number(static_cast<std::uint32_t>(log.size() / 32)));
    REQUIRE(response.status == VtpmStatus::success);
    CHECK(response.body.size() <= max_vtpm_body_bytes);
    const auto part = decode_host_log_part(response.body);
    REQUIRE(part.has_value());
    CHECK(part->total == 300);
    for (const auto& event : part->events)
      append(log, event);
    ++parts;
  } while (log.size() < 300 * std::size_t{32});
  CHECK(parts == 3);
  std::vector<Bytes> records;
  measure::Sha256 pcr{};
  for (std::uint32_t i = 0; i < 300; ++i) {
    records.push_back(encoded(make_record(i + 1, i + 1)));
    Bytes both(pcr.begin(), pcr.end());
    append(both, std::span(log).subspan(i * std::size_t{32}, 32));
    pcr = sha256(both);
  }
  CHECK(pcr == replay_sha256(records));
  CHECK(pcr == desk.machine.pcr.sha256);
  // At its end there is nothing more, and beyond it nothing at all.
  CHECK(decode_host_log_part(desk.service->host_log(number(300)).body)->events.empty());
  for (const Bytes& wrong : {number(301), number(0xffffffff), Bytes{}, Bytes(3), Bytes(5)})
    CHECK(desk.service->host_log(wrong).status == VtpmStatus::bad_parameter);
}

TEST_CASE("evidence service: a quote covers nonce, own record, key and log") {
  Desk desk(2);
  REQUIRE(desk.manager->revoke(2)); // stays in the log
  const auto response = desk.quote(vtpm, 2);
  REQUIRE(response.status == VtpmStatus::success);
  const auto parts = decode_evidence_parts(response.body, guest_quote_parts);
  REQUIRE(parts.has_value());
  CHECK((*parts)[0] == Bytes(3, std::byte{1}));
  CHECK((*parts)[2] == Bytes(1, std::byte{3}));
  CHECK((*parts)[3][0] == std::byte{13});
  CHECK(std::ranges::equal(std::span((*parts)[3]).subspan(1), desk.machine.pcr.sha256));
  Bytes log;
  for (const std::uint32_t serial : {1U, 2U})
    append(log, sha256(encoded(make_record(serial, serial))));
  Bytes covered;
  append(covered, as_bytes("ashlar-guest-quote-2"));
  covered.push_back(std::byte{});
  append(covered, Bytes(32, std::byte{0x5a}));
  append(covered, sha256(encoded(make_record(1, 1))));
  append(covered, Bytes(32, std::byte{0x7b}));
  append(covered, sha256(log));
  CHECK(desk.quoter.asked == sha256(covered));
}

TEST_CASE("evidence service: a quote is over the log that the asker has, or is none") {
  Desk desk(3);
  CHECK(desk.quote(vtpm, 2).status == VtpmStatus::log_grew);
  CHECK(desk.quote(vtpm, 4).status == VtpmStatus::log_grew);
  CHECK(desk.quoter.quotes == 0);
  CHECK(desk.quote(vtpm, 3).status == VtpmStatus::success);
  REQUIRE(desk.manager->put(encoded(make_record(4, 4))));
  CHECK(desk.quote(vtpm, 3).status == VtpmStatus::log_grew);
}

TEST_CASE("evidence service: a PCR that the log does not explain is not vouched for") {
  Desk desk(1);
  desk.machine.pcr.sha256[0] ^= std::byte{1};
  CHECK(desk.quote(vtpm, 1).status == VtpmStatus::failed);
  desk.quoter.fails = true;
  CHECK(desk.quote(vtpm, 1).status == VtpmStatus::failed);
}

TEST_CASE("evidence service: one vTPM that asks too often does not stop another") {
  Desk desk(1);
  for (std::uint32_t i = 0; i < vtpm_evidence_burst; ++i)
    REQUIRE(desk.quote(vtpm, 1).status == VtpmStatus::success);
  for (int i = 0; i < 100; ++i)
    REQUIRE(desk.quote(vtpm, 1).status == VtpmStatus::too_often);
  CHECK(desk.quoter.quotes == vtpm_evidence_burst);
  CHECK(desk.quote(other_vtpm, 1).status == VtpmStatus::success);
  desk.now += vtpm_evidence_pause;
  CHECK(desk.quote(vtpm, 1).status == VtpmStatus::success);
  CHECK(desk.quote(vtpm, 1).status == VtpmStatus::too_often);
}

TEST_CASE("evidence service: all vTPMs together leave the TPM to the records") {
  Desk desk(1);
  for (std::uint32_t i = 0; i < host_evidence_burst; ++i)
    REQUIRE(desk.quote(100 + i, 1).status == VtpmStatus::success);
  CHECK(desk.quote(1000, 1).status == VtpmStatus::too_often);
  desk.now += host_evidence_pause;
  CHECK(desk.quote(1001, 1).status == VtpmStatus::success);
  CHECK(desk.quote(1002, 1).status == VtpmStatus::too_often);
}

TEST_CASE("evidence service: the host's keys are asked of the TPM once") {
  Desk desk(1);
  for (int i = 0; i < 20; ++i) {
    const auto parts =
        decode_evidence_parts(desk.service->host_keys(vtpm, {}).body, host_keys_parts);
    REQUIRE(parts.has_value());
    CHECK((*parts)[0] == Bytes(4, std::byte{4}));
    CHECK((*parts)[1] == Bytes(5, std::byte{5}));
  }
  CHECK(desk.quoter.endorsements == 1);
  CHECK(desk.service->host_keys(vtpm, Bytes(1)).status == VtpmStatus::bad_parameter);
  Desk large(1);
  large.quoter.certificate.resize(max_ek_certificate_bytes + 1);
  const auto parts =
      decode_evidence_parts(large.service->host_keys(vtpm, {}).body, host_keys_parts);
  REQUIRE(parts.has_value());
  CHECK((*parts)[1].empty());
}

TEST_CASE("evidence service: credentials are activated, or refused for what they are") {
  Desk desk(1);
  const auto ask = [&desk](const EvidenceParts& parts) {
    return desk.service->activate(vtpm, *encode(parts));
  };
  const auto done = ask({Bytes(7, std::byte{7}), Bytes(7)});
  REQUIRE(done.status == VtpmStatus::success);
  CHECK(decode_evidence_parts(done.body, 1)->front() == Bytes(7, std::byte{7}));
  CHECK(ask({Bytes(7), Bytes(8)}).status == VtpmStatus::denied);
  CHECK(ask({Bytes(7)}).status == VtpmStatus::bad_parameter);
  CHECK(ask({Bytes(7), Bytes{}}).status == VtpmStatus::bad_parameter);
  CHECK(ask({Bytes(max_credential_part_bytes + 1), Bytes(7)}).status == VtpmStatus::bad_parameter);
  for (std::uint32_t i = 2; i < vtpm_evidence_burst; ++i)
    CHECK(ask({Bytes(7), Bytes(7)}).status == VtpmStatus::success);
  CHECK(ask({Bytes(7), Bytes(7)}).status == VtpmStatus::too_often);
}

TEST_CASE("evidence messages: what is cut off, or says more than is there, is refused") {
  HostLogPart part{.total = 5, .first = 3, .events = {EvidenceDigest{}, EvidenceDigest{}}};
  const Bytes good = encode(part);
  REQUIRE(decode_host_log_part(good).has_value());
  for (std::size_t size = 0; size < good.size(); ++size)
    if (const auto read = decode_host_log_part(std::span(good).first(size)))
      CHECK((size - host_log_part_header_bytes) % host_log_event_bytes == 0);
  part.total = 4;
  CHECK_FALSE(decode_host_log_part(encode(part)).has_value());
  part = {.total = 5, .first = 6, .events = {}};
  CHECK_FALSE(decode_host_log_part(encode(part)).has_value());
  for (const std::size_t size : {0U, 67U, 69U})
    CHECK_FALSE(decode_guest_quote_request(Bytes(size)).has_value());
  const Bytes parts = *encode(EvidenceParts{Bytes(3), Bytes(2)});
  CHECK(decode_evidence_parts(parts, 2).has_value());
  for (const std::size_t count : {0U, 1U, 3U})
    CHECK_FALSE(decode_evidence_parts(parts, count).has_value());
  for (std::size_t size = 0; size < parts.size(); ++size)
    CHECK_FALSE(decode_evidence_parts(std::span(parts).first(size), 2).has_value());
  CHECK_FALSE(encode(EvidenceParts{Bytes(4000), Bytes(100)}).has_value());
}

TEST_CASE("evidence service: tells the builder the machine's keys and PCRs, unlimited by vTPMs") {
  Desk desk(1);
  while (desk.service->allow(vtpm)) {
  }
  const auto identity = desk.service->identity();
  REQUIRE(identity.has_value());
  CHECK(*identity == HostIdentity{.attestation_key = Bytes(6, std::byte{6}),
                                  .endorsement_key = Bytes(4, std::byte{4}),
                                  .endorsement_certificate = Bytes(5, std::byte{5}),
                                  .pcrs = {{13, desk.machine.pcr.sha256}}});
  REQUIRE(desk.service->identity().has_value());
  CHECK(desk.quoter.endorsements == 1); // kept
  CHECK(desk.service->host_keys(vtpm, {}).status == VtpmStatus::success);
}

TEST_CASE("evidence service: an identity is whole or an error") {
  Desk desk(1);
  desk.quoter.fails = true;
  CHECK(desk.service->identity().error().code == ErrorCode::io);
  desk.quoter.fails = false;
  desk.quoter.key.resize(max_public_key_bytes + 1);
  CHECK(desk.service->identity().error().code == ErrorCode::limit);
}

TEST_CASE(
    "evidence service: an identity that is asked for often is read from the TPM now and then") {
  Desk desk(1);
  for (int i = 0; i < 100; ++i)
    REQUIRE(desk.service->identity().has_value());
  CHECK(desk.quoter.pcr_reads == 1);
  desk.now += identity_kept;
  CHECK(desk.service->identity().has_value());
  CHECK(desk.quoter.pcr_reads == 2);
  // A new record changes the host PCR: what was kept is not told any more.
  REQUIRE(desk.manager->put(encoded(make_record(2, 2))));
  CHECK(desk.service->identity()->pcrs.at(13) == desk.machine.pcr.sha256);
  CHECK(desk.quoter.pcr_reads == 3);
}

TEST_CASE("evidence service: a TPM that does not give its keys is left alone for a while") {
  Desk desk(1);
  desk.quoter.endorsement_fails = true;
  for (int i = 0; i < 100; ++i)
    REQUIRE(desk.service->identity().error().code == ErrorCode::io);
  CHECK(desk.quoter.endorsements == 1);
  CHECK(desk.service->identity().error().why ==
        "the test's TPM is dead; it is asked again 10000 ms after that");
  // Nor by way of a vTPM.
  CHECK(desk.service->host_keys(vtpm, {}).status == VtpmStatus::failed);
  CHECK(desk.quoter.endorsements == 1);
  desk.now += identity_retry_pause;
  CHECK(desk.service->identity().error().code == ErrorCode::io);
  CHECK(desk.quoter.endorsements == 2);
  desk.quoter.endorsement_fails = false;
  CHECK_FALSE(desk.service->identity().has_value());
  desk.now += identity_retry_pause;
  CHECK(desk.service->identity().has_value());
  CHECK(desk.quoter.endorsements == 3);
}

TEST_CASE("evidence service: nor is it asked for PCRs again that it did not give") {
  Desk desk(1);
  desk.quoter.fails = true;
  for (int i = 0; i < 100; ++i)
    REQUIRE(desk.service->identity().error().code == ErrorCode::io);
  CHECK(desk.quoter.pcr_reads == 1);
  CHECK(desk.quoter.endorsements == 1);
  desk.quoter.fails = false;
  desk.now += identity_retry_pause;
  CHECK(desk.service->identity().has_value());
  CHECK(desk.quoter.pcr_reads == 2);
  CHECK(desk.quoter.endorsements == 1);
}
