// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <random>

#include "ashlar/base/bytes.hpp"
#include "ashlar/ipc/frame.hpp"
#include "ashlar/ipc/message.hpp"

using namespace ashlar;
using namespace ashlar::ipc;

namespace {

Request create_named(std::string_view name) {
  Request request{};
  request.id = 7;
  request.which_verb = ashlar_v1_Request_create_tag;
  request.verb.create.type = ashlar_v1_GuestType_GUEST_TYPE_PVH;
  name.copy(request.verb.create.name, sizeof request.verb.create.name - 1);
  request.verb.create.initrds_count = 2;
  set_text(request.verb.create.initrds[1].label, "initrd.img");
  return request;
}

std::string why(std::span<const std::byte> bytes) {
  const auto request = decode_request(bytes);
  return request ? std::string() : request.error().message();
}

} // namespace

TEST_CASE("message: a request comes back as it was") {
  const auto bytes = encode(create_named("web"));
  REQUIRE(bytes);
  const auto request = decode_request(*bytes);
  REQUIRE(request);
  CHECK(request->id == 7);
  REQUIRE(request->which_verb == ashlar_v1_Request_create_tag);
  CHECK(std::string(request->verb.create.name) == "web");
  REQUIRE(request->verb.create.initrds_count == 2);
  CHECK(std::string(request->verb.create.initrds[1].label) == "initrd.img");
}

TEST_CASE("message: text that is not UTF-8, or holds control characters, is refused") {
  for (const std::string bad : {"a\x1b[2J", "a\nb", "\x7f", "\xc2\x9b", "\xff", "\xc0\x80",
                                "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "tab\t"}) {
    CAPTURE(printable(bad));
    CHECK_FALSE(decode_request(encode(create_named(bad)).value()));
  }
  for (const std::string good : {"web", "w\u00e9b", "\xe2\x82\xac", "\xf0\x9f\xa7\xb1", "\xc2\xa0"})
    CHECK(decode_request(encode(create_named(good)).value()));
}

TEST_CASE("message: text deep inside a message is checked as well") {
  Request request = create_named("web");
  request.verb.create.initrds[1].label[0] = '\x01';
  CHECK(why(encode(request).value()).find("control character") != std::string::npos);
}

TEST_CASE("message: a NUL inside a text is refused") {
  // Request { id 1, create { name "a\0b" } }
  CHECK(why(*from_hex("0801"
                      "1a05"
                      "0a03610062"))
            .find("NUL") != std::string::npos);
}

TEST_CASE("message: a text above its field's size is refused") {
  std::string wire = "0801"
                     "1a42"
                     "0a40"; // a name of 64 bytes, one more than fits beside the NUL
  for (int i = 0; i < 64; ++i)
    wire += "61";
  CHECK_FALSE(why(*from_hex(wire)).empty());
}

TEST_CASE("message: more repeated parts than the limit are refused") {
  std::string initrds;
  for (int i = 0; i < 9; ++i)
    initrds += "4a00";
  CHECK_FALSE(why(*from_hex("0801"
                            "1a12" +
                            initrds))
                  .empty());
}

TEST_CASE("message: an enumeration value that does not exist is refused") {
  CHECK(why(*from_hex("0801"
                      "1a02"
                      "1802"))
            .empty());
  CHECK(why(*from_hex("0801"
                      "1a02"
                      "1803"))
            .find("GuestType") != std::string::npos);
  CHECK(why(*from_hex("0801"
                      "1a02"
                      "5004"))
            .find("StopAction") != std::string::npos);
  // Response { id 1, domain { state 7 } }
  CHECK(decode_response(*from_hex("0801"
                                  "4202"
                                  "2806")));
  CHECK_FALSE(decode_response(*from_hex("0801"
                                        "4202"
                                        "2807")));
}

TEST_CASE(
    "message: every truncation of a message is an error or a valid shorter one, never a crash") {
  const auto bytes = encode(create_named("web")).value();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto request = decode_request(std::span(bytes).first(length));
    CHECK((!request || request->which_verb == 0));
  }
}

TEST_CASE("message: random bytes never crash the decoder") {
  std::mt19937 random(20140317);
  std::vector<std::byte> bytes(400);
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    const std::size_t length = random() % bytes.size();
    for (std::size_t i = 0; i < length; ++i)
      bytes[i] = static_cast<std::byte>(random());
    accepted += decode_request(std::span(bytes).first(length)).has_value() ? 1 : 0;
    accepted += decode_response(std::span(bytes).first(length)).has_value() ? 1 : 0;
  }
  CHECK(accepted < 20000);
}

TEST_CASE("message: more than a control frame is refused before it is read") {
  CHECK_FALSE(decode_request(std::vector<std::byte>(max_control_bytes + 1)));
}

TEST_CASE("message: set_text cuts on a character's boundary and makes text fit to send") {
  char field[5];
  set_text(field, "ab\xc3\xa9z");
  CHECK(std::string(field) == "ab\xc3\xa9");
  set_text(field, "abc\xc3\xa9");
  CHECK(std::string(field) == "abc");
  set_text(field, "a\n\xff"
                  "b");
  CHECK(std::string(field) == "a??b");
}

TEST_CASE("message: set_exact_text refuses rather than changes") {
  char field[5];
  CHECK(set_exact_text(field, "abcd", "it"));
  CHECK(set_exact_text(field, "abcde", "it").error().code == ErrorCode::limit);
  CHECK(set_exact_text(field, "a\nb", "it").error().code == ErrorCode::invalid);
}

TEST_CASE("message: a create with the largest signature for each image fits its frame") {
  Request request{};
  request.id = 1;
  request.which_verb = ashlar_v1_Request_create_tag;
  ashlar_v1_Create& create = request.verb.create;
  const std::vector<std::byte> signature(sizeof create.kernel_signature.bytes, std::byte{0xff});
  REQUIRE(set_bytes(create.kernel_signature, signature));
  for (auto& field : create.initrd_signatures)
    REQUIRE(set_bytes(field, signature));
  create.initrd_signatures_count = static_cast<pb_size_t>(std::size(create.initrd_signatures));
  const auto bytes = encode(request);
  REQUIRE(bytes);
  CHECK(bytes->size() <= max_control_bytes);
  const auto read = decode_request(*bytes);
  REQUIRE(read);
  CHECK(std::ranges::equal(bytes_of(read->verb.create.initrd_signatures[7]), signature));
}

TEST_CASE("message: a signature that is one byte too long is no message") {
  Request request{};
  request.id = 1;
  request.which_verb = ashlar_v1_Request_create_tag;
  ashlar_v1_Create& create = request.verb.create;
  const std::vector<std::byte> longest(sizeof create.kernel_signature.bytes, std::byte{0xff});
  REQUIRE(set_bytes(create.kernel_signature, longest));
  auto bytes = encode(request).value();
  REQUIRE(decode_request(bytes));
  // The field comes last: its length and those of what holds it, by one, and one byte more.
  const std::vector<std::byte> one_more(longest.size() + 1, std::byte{0xff});
  REQUIRE_FALSE(set_bytes(create.kernel_signature, one_more));
  const auto length = [&](std::size_t at) {
    return (std::to_integer<unsigned>(bytes[at]) & 0x7fU) +
           (std::to_integer<unsigned>(bytes[at + 1]) << 7);
  };
  for (const std::size_t at : {bytes.size() - longest.size() - 2, std::size_t{3}}) {
    const unsigned grown = length(at) + 1;
    bytes[at] = static_cast<std::byte>((grown & 0x7f) | 0x80);
    bytes[at + 1] = static_cast<std::byte>(grown >> 7);
  }
  bytes.push_back(std::byte{0xff});
  const auto refused = decode_request(bytes);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().find("overflow") != std::string::npos);
}
