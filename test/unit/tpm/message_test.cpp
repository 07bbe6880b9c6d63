// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <random>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/limits.hpp"
#include "ashlar/tpm/message.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

std::vector<Request> requests() {
  return {{0, Hello{}},         {1, PutRecord{encoded(make_record(1, 5))}},
          {2, Revoke{7}},       {3, StatusQuery{}},
          {5, IdentityQuery{}}, {4, Bind{{1, 2, measure::Vtpm::tpm12, measure::Profile::pv_grub}}}};
}

std::vector<Reply> replies() {
  measure::Sha256 value{};
  value.fill(std::byte{0xab});
  return {{1, Ack{1, 13, value, 4}},
          {2, Refused{RefusalCode::revoked, "it was revoked"}},
          {3, HostIdentity{std::vector<std::byte>(2, std::byte{1}),
                           std::vector<std::byte>(3, std::byte{2}),
                           {},
                           {{0, value}, {13, value}}}}};
}

} // namespace

TEST_CASE("message: every request and answer reads back as it was written") {
  for (const Request& request : requests()) {
    const auto bytes = encode(request);
    REQUIRE(bytes.has_value());
    CHECK(decode_request(*bytes) == request);
  }
  for (const Reply& reply : replies())
    CHECK(decode_reply(encode(reply)) == reply);
}

TEST_CASE("message: has the documented layout") {
  CHECK(to_hex(*encode(Request{0x0102, Revoke{7}})) == "0302010000000000000700000000000000");
  CHECK(to_hex(*encode(Request{0, Hello{}})) == "01000000000000000003000000");
  CHECK(to_hex(*encode(Request{1, Bind{{3, 4, measure::Vtpm::tpm20, measure::Profile::grub}}})) ==
        "050100000000000000030000000000000004000000000000000201");
  CHECK(to_hex(*encode(Request{1, PutRecord{{std::byte{0xff}}}})) ==
        "02010000000000000001000000ff");
  CHECK(to_hex(encode(Reply{2, Refused{RefusalCode::limit, "no"}})) ==
        "82020000000000000004020000006e6f");
}

TEST_CASE("message: cut short or with bytes behind its end, it is refused") {
  for (const Request& request : requests()) {
    std::vector<std::byte> bytes = *encode(request);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      CHECK_FALSE(decode_request(std::span(bytes).first(size)).has_value());
    bytes.push_back(std::byte{0});
    CHECK_FALSE(decode_request(bytes).has_value());
  }
  for (const Reply& reply : replies()) {
    std::vector<std::byte> bytes = encode(reply);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      CHECK_FALSE(decode_reply(std::span(bytes).first(size)).has_value());
    bytes.push_back(std::byte{0});
    CHECK_FALSE(decode_reply(bytes).has_value());
  }
}

TEST_CASE("message: an answer is no request and a request no answer") {
  CHECK_FALSE(decode_request(encode(replies()[0])).has_value());
  CHECK_FALSE(decode_reply(*encode(requests()[0])).has_value());
}

TEST_CASE("message: unknown refusal codes are refused") {
  std::vector<std::byte> bytes = encode(Reply{2, Refused{RefusalCode::hardware, ""}});
  bytes[9] = std::byte{6};
  CHECK_FALSE(decode_reply(bytes).has_value());
  bytes[9] = std::byte{0};
  CHECK_FALSE(decode_reply(bytes).has_value());
}

TEST_CASE("message: random bytes are read without harm, and what reads back is canonical") {
  std::mt19937 random(20140317);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes(random() % 64);
    for (std::byte& byte : bytes)
      byte = static_cast<std::byte>(random() % 8 == 0 ? random() : random() % 6);
    if (const auto request = decode_request(bytes))
      CHECK(encode(*request) == bytes);
  }
}

TEST_CASE("message: a record that is too long is refused where it is sent") {
  const Request fits{1, PutRecord{std::vector<std::byte>(max_put_record_bytes)}};
  const auto bytes = encode(fits);
  REQUIRE(bytes.has_value());
  CHECK(bytes->size() == measure::max_record_bytes);
  CHECK(decode_request(*bytes) == fits);
  const auto refused =
      encode(Request{1, PutRecord{std::vector<std::byte>(max_put_record_bytes + 1)}});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::limit);
}

TEST_CASE("message: a long reason is cut, and control characters in it do not get out") {
  const Reply reply{1, Refused{RefusalCode::invalid, std::string(5000, '\n')}};
  const auto read = decode_reply(encode(reply));
  REQUIRE(read.has_value());
  const auto& refused = std::get<Refused>(read->body);
  CHECK(refused.reason.size() == max_reason_bytes);
  CHECK(error_of(refused, "testing").why.find('\n') == std::string::npos);
}

TEST_CASE("message: an identity has a documented layout, and PCRs that rise") {
  measure::Sha256 value{};
  HostIdentity identity;
  identity.attestation_key = {std::byte{0xaa}};
  identity.pcrs = {{1, value}, {13, value}};
  std::vector<std::byte> bytes = encode(Reply{2, identity});
  CHECK(to_hex(bytes) == "83020000000000000001000000aa0000000000000000"
                         "02"
                         "01" +
                             std::string(64, '0') + "0d" + std::string(64, '0'));
  REQUIRE(decode_reply(bytes).has_value());
  const std::size_t second = bytes.size() - 33;
  for (const unsigned wrong : {0U, 1U, 24U}) {
    bytes[second] = static_cast<std::byte>(wrong);
    CHECK_FALSE(decode_reply(bytes).has_value());
  }
  for (std::uint32_t pcr = 0; pcr < 10; ++pcr)
    identity.pcrs[pcr] = value;
  CHECK_FALSE(decode_reply(encode(Reply{2, identity})).has_value()); // more than nine
  identity.pcrs.clear();
  identity.endorsement_key.resize(max_public_key_bytes + 1);
  CHECK_FALSE(decode_reply(encode(Reply{2, identity})).has_value());
}
