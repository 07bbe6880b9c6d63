// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/ipc/frame.hpp"
#include "memory_transport.hpp"

using namespace ashlar;
using namespace ashlar::ipc;

namespace {

std::vector<std::byte> hex(std::string_view text) {
  return from_hex(text).value();
}

std::string text_of(const Frame& frame) {
  return to_hex(frame.payload);
}

} // namespace

TEST_CASE("frame: is written as length, kind, zeros, payload") {
  MemoryTransport transport;
  FrameStream stream(transport);
  REQUIRE(stream.send(FrameKind::data, hex("aabbcc")));
  CHECK(to_hex(transport.outgoing) == "0300000002000000aabbcc");
}

TEST_CASE("frame: comes together wherever the stream is split") {
  const auto bytes = hex("0300000001000000aabbcc"
                         "0000000002000000"
                         "0100000002000000dd");
  for (std::size_t split = 0; split <= bytes.size(); ++split) {
    MemoryTransport transport;
    transport.feed(bytes);
    transport.readable = split;
    FrameStream stream(transport);
    std::vector<std::string> seen;
    for (int pass = 0; pass < 2; ++pass) {
      while (const auto frame = stream.receive().value())
        seen.push_back(text_of(*frame) + (frame->kind == FrameKind::data ? "d" : "c"));
      transport.readable = SIZE_MAX;
    }
    CAPTURE(split);
    CHECK(seen == std::vector<std::string>{"aabbccc", "d", "ddd"});
  }
}

TEST_CASE("frame: comes together byte by byte") {
  MemoryTransport transport;
  FrameStream stream(transport);
  const auto bytes = hex("0200000001000000abcd");
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    transport.feed(std::span(bytes).subspan(i, 1));
    const auto frame = stream.receive();
    REQUIRE(frame);
    CHECK(frame->has_value() == (i + 1 == bytes.size()));
  }
}

TEST_CASE("frame: the largest of each kind passes and one byte more does not") {
  for (const auto& [kind, limit] : {std::pair{FrameKind::control, max_control_bytes},
                                    std::pair{FrameKind::data, max_data_bytes}}) {
    MemoryTransport sender_transport;
    FrameStream sender(sender_transport);
    std::vector<std::byte> payload(limit + 1, std::byte{7});
    const Status too_large = sender.send(kind, payload);
    REQUIRE_FALSE(too_large);
    CHECK(too_large.error().code == ErrorCode::limit);
    payload.pop_back();
    REQUIRE(sender.send(kind, payload));
    MemoryTransport transport;
    transport.feed(sender_transport.outgoing);
    FrameStream receiver(transport);
    const auto frame = receiver.receive();
    REQUIRE(frame);
    REQUIRE(*frame);
    CHECK(std::ranges::equal((*frame)->payload, payload));
  }
}

TEST_CASE("frame: a header with a bad kind, padding or length is refused") {
  struct Bad {
    const char* header;
    ErrorCode code;
  };
  for (const Bad& bad :
       {Bad{"0100000000000000", ErrorCode::invalid}, Bad{"0100000003000000", ErrorCode::invalid},
        Bad{"01000000ff000000", ErrorCode::invalid}, Bad{"0100000001010000", ErrorCode::invalid},
        Bad{"0100000001000100", ErrorCode::invalid}, Bad{"0100000001000001", ErrorCode::invalid},
        Bad{"0100010001000000", ErrorCode::limit}, Bad{"0100040002000000", ErrorCode::limit},
        Bad{"ffffffff02000000", ErrorCode::limit}}) {
    MemoryTransport transport;
    transport.feed(hex(bad.header));
    FrameStream stream(transport);
    const auto frame = stream.receive();
    CAPTURE(bad.header);
    REQUIRE_FALSE(frame);
    CHECK(frame.error().code == bad.code);
  }
}

TEST_CASE("frame: a peer that leaves in mid-frame is peer_closed, after all whole frames") {
  MemoryTransport transport;
  transport.feed(hex("0100000001000000aa"
                     "0500000001000000aa"));
  transport.closed = true;
  FrameStream stream(transport);
  CHECK(stream.receive().value().has_value());
  const auto frame = stream.receive();
  REQUIRE_FALSE(frame);
  CHECK(frame.error().code == ErrorCode::peer_closed);
}

TEST_CASE("frame: what does not fit waits, in order, and leaves when there is room") {
  MemoryTransport transport;
  transport.room = 5;
  FrameStream stream(transport);
  REQUIRE(stream.send(FrameKind::control, hex("aabb")));
  CHECK(stream.queued_bytes() == 5);
  REQUIRE(stream.send(FrameKind::control, hex("cc")));
  CHECK(stream.queued_bytes() == 14);
  transport.room = SIZE_MAX;
  REQUIRE(stream.flush());
  CHECK(stream.queued_bytes() == 0);
  CHECK(to_hex(transport.outgoing) == "0200000001000000aabb"
                                      "0100000001000000cc");
}

TEST_CASE("frame: a large one comes whole and in order, however little of it fits at once") {
  std::vector<std::byte> payload(max_data_bytes);
  for (std::size_t i = 0; i < payload.size(); ++i)
    payload[i] = static_cast<std::byte>(i * 7 + i / 256);
  for (const std::size_t room : {0UZ, 5UZ, frame_header_bytes, frame_header_bytes + 1, 100'000UZ,
                                 payload.size() + frame_header_bytes, SIZE_MAX}) {
    CAPTURE(room);
    MemoryTransport transport;
    transport.room = room;
    FrameStream stream(transport);
    REQUIRE(stream.send(FrameKind::control, hex("aa")));
    REQUIRE(stream.send(FrameKind::data, payload));
    REQUIRE(stream.send(FrameKind::control, hex("bb")));
    transport.room = SIZE_MAX;
    REQUIRE(stream.flush());
    CHECK(stream.queued_bytes() == 0);

    MemoryTransport back;
    back.feed(transport.outgoing);
    FrameStream reader(back);
    CHECK(text_of(reader.receive().value().value()) == "aa");
    CHECK(std::ranges::equal(reader.receive().value().value().payload, payload));
    CHECK(text_of(reader.receive().value().value()) == "bb");
  }
}

TEST_CASE("frame: a peer that does not read meets the queue's limit") {
  MemoryTransport transport;
  transport.room = 0;
  FrameStream stream(transport);
  const std::vector<std::byte> payload(max_data_bytes);
  Status sent;
  int frames = 0;
  while ((sent = stream.send(FrameKind::data, payload)))
    REQUIRE(++frames < 10);
  CHECK(sent.error().code == ErrorCode::limit);
  CHECK(frames == 3);
  CHECK(stream.queued_bytes() <= max_queued_bytes);
}
