// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include "ashlar/base/bytes.hpp"
#include "ashlar/ipc/tpmif_page.hpp"

using namespace ashlar;
using namespace ashlar::ipc;

namespace {

struct SharedPage {
  alignas(8) std::array<std::byte, tpmif_page_bytes> bytes{};
  TpmifPage page{bytes.data()};

  void set_length(std::uint32_t length) { std::memcpy(bytes.data(), &length, sizeof length); }
};

} // namespace

TEST_CASE("tpmif page: a packet is at byte 8, after its length in native order and the state") {
  SharedPage shared;
  REQUIRE(shared.page.put(*from_hex("aabbcc"), TpmifState::submit));
  CHECK(to_hex(std::span(shared.bytes).first(12)) == "0300000001000000aabbcc00");
  CHECK(shared.page.state() == TpmifState::submit);
  const auto packet = shared.page.take();
  REQUIRE(packet);
  CHECK(to_hex(*packet) == "aabbcc");
  shared.page.set_idle();
  CHECK(shared.page.state() == TpmifState::idle);
}

TEST_CASE("tpmif page: the longest packet fills it, a longer one is refused at both ends") {
  SharedPage shared;
  CHECK(shared.page.put(std::vector<std::byte>(max_tpmif_packet_bytes), TpmifState::finish));
  REQUIRE(shared.page.take());
  CHECK(shared.page.take()->size() == max_tpmif_packet_bytes);
  const auto too_long =
      shared.page.put(std::vector<std::byte>(max_tpmif_packet_bytes + 1), TpmifState::finish);
  REQUIRE_FALSE(too_long);
  CHECK(too_long.error().code == ErrorCode::limit);
  for (const std::uint32_t length : {4089u, 4096u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    shared.set_length(length);
    const auto packet = shared.page.take();
    REQUIRE_FALSE(packet);
    CHECK(packet.error().code == ErrorCode::invalid);
  }
}

TEST_CASE("tpmif page: extra pages are refused, however short the packet is") {
  for (const unsigned extra : {1u, 2u, 255u}) {
    SharedPage shared;
    shared.set_length(4);
    shared.bytes[7] = static_cast<std::byte>(extra);
    CHECK_FALSE(shared.page.take());
  }
}

TEST_CASE("tpmif page: a state that has no name is none of those that have one") {
  SharedPage shared;
  shared.bytes[4] = std::byte{200};
  for (const TpmifState state :
       {TpmifState::idle, TpmifState::submit, TpmifState::finish, TpmifState::cancel})
    CHECK(shared.page.state() != state);
}
