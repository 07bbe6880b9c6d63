// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <random>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/record.hpp"

using namespace ashlar;
using namespace ashlar::measure;

namespace {

MeasuredImage image(const std::string& label, const std::string& bytes) {
  return {.label = label, .size = bytes.size(), .digests = digest(as_bytes(bytes)).value()};
}

Ingredients ingredients() {
  return {.builder_identity = "ashlar-builder 0.1.0",
          .policy_digest = std::string(64, 'a'),
          .configuration = {.name = "web-1", .memory_kib = 1024, .max_memory_kib = 1024},
          .kernel = image("vmlinuz", "kernel bytes"),
          .command_line = "console=hvc0",
          .initrds = {image("first", "one"), image("second", "two")}};
}

Record record() {
  return {.serial = 0x0102030405060708,
          .domid = 7,
          .uuid = uuid_from_text("6a0e5a44-2f4e-4b0e-9d57-0c5f6f7a1b11").value(),
          .requester = "toolstack",
          .events = make_events(ingredients()).value()};
}

std::vector<EventType> types(const std::vector<Event>& events) {
  std::vector<EventType> all;
  for (const Event& event : events)
    all.push_back(event.type);
  return all;
}

// The offset of the first event's type: after magic, version, serial, domid, UUID, "toolstack" and
// count.
constexpr std::size_t first_event_at = 4 + 4 + 8 + 4 + 16 + (4 + 9) + 4;

} // namespace

TEST_CASE("events: stand in the documented order, one for each initrd") {
  const auto events = make_events(ingredients());
  REQUIRE(events.has_value());
  using enum EventType;
  CHECK(types(*events) ==
        std::vector{builder, policy, configuration, kernel, command_line, initrd, initrd});
  CHECK((*events)[5].label == "first");
  CHECK((*events)[6].label == "second");
}

TEST_CASE("events: without an initrd, one event over the empty string says so") {
  Ingredients without = ingredients();
  without.initrds.clear();
  const auto events = make_events(without);
  REQUIRE(events.has_value());
  CHECK(events->back().type == EventType::no_initrd);
  CHECK(events->back().digests == digest({}).value());
  CHECK(events->size() == 6);
}

TEST_CASE("events: text events keep the measured bytes, file events only the digests") {
  const auto events = make_events(ingredients()).value();
  for (const Event& event : events) {
    if (!keeps_content(event.type)) {
      CHECK(event.content.empty());
      continue;
    }
    CHECK(event.size == event.content.size());
    CHECK(event.digests == digest(as_bytes(event.content)).value());
  }
  CHECK(events[0].content == "ashlar-builder 0.1.0");
  CHECK(events[1].content == std::string(64, 'a'));
  CHECK(events[2].content == canonical_text(ingredients().configuration));
  CHECK(events[3].digests == ingredients().kernel.digests);
  CHECK(events[3].size == 12);
  CHECK(events[4].content == "console=hvc0");
}

TEST_CASE(
    "events: a configuration that is not valid, or a policy digest that is none, is refused") {
  Ingredients bad = ingredients();
  bad.configuration.name = "a\nb";
  CHECK_FALSE(make_events(bad));
  bad = ingredients();
  bad.policy_digest.clear();
  CHECK_FALSE(make_events(bad));
}

TEST_CASE("events: more than the limit are refused") {
  Ingredients many = ingredients();
  many.initrds.assign(max_record_events - 5, image("i", "x"));
  CHECK(make_events(many));
  many.initrds.push_back(image("i", "x"));
  const auto refused = make_events(many);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::limit);
}

TEST_CASE("record: the encoding is the documented layout") {
  const Record one{.serial = 2,
                   .domid = 3,
                   .uuid = uuid_from_text("00112233-4455-6677-8899-aabbccddeeff").value(),
                   .requester = "ab",
                   .events = {Event{.type = EventType::initrd,
                                    .label = "i",
                                    .content = {},
                                    .size = 3,
                                    .digests = digest(as_bytes("abc")).value()}}};
  const auto bytes = encode(one);
  REQUIRE(bytes.has_value());
  CHECK(to_hex(*bytes) == "41534852"
                          "01000000"
                          "0200000000000000"
                          "03000000"
                          "00112233445566778899aabbccddeeff"
                          "020000006162"
                          "01000000"
                          "06"
                          "0100000069"
                          "00000000"
                          "0300000000000000"
                          "a9993e364706816aba3e25717850c26c9cd0d89d"
                          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
                          "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                          "8086072ba1e7cc2358baeca134c825a7");
}

TEST_CASE("record: what was encoded comes back") {
  const auto bytes = encode(record());
  REQUIRE(bytes.has_value());
  const auto back = decode(*bytes);
  REQUIRE(back.has_value());
  CHECK(*back == record());
}

TEST_CASE("record: every cut of a record is refused, and so is a byte after its end") {
  auto bytes = encode(record()).value();
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_FALSE(decode(std::span(bytes).first(size)));
  bytes.push_back(std::byte{0});
  CHECK_FALSE(decode(bytes));
}

TEST_CASE("record: whatever decodes after random damage encodes to the same bytes") {
  const auto bytes = encode(record()).value();
  std::mt19937 random(20240317);
  unsigned decoded = 0;
  for (int round = 0; round < 20000; ++round) {
    auto damaged = bytes;
    for (int i = 0; i < 3; ++i)
      damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    const auto back = decode(damaged);
    if (!back)
      continue;
    ++decoded;
    const auto again = encode(*back);
    REQUIRE(again.has_value());
    REQUIRE(*again == damaged);
  }
  // Damage to digests and numbers alone goes through: otherwise the loop above showed nothing.
  CHECK(decoded > 1000);
  CHECK(decoded < 20000);
}

TEST_CASE("record: another magic, another version and an unknown event type are refused") {
  const auto good = encode(record()).value();
  for (const std::size_t at : {std::size_t{0}, std::size_t{4}, first_event_at}) {
    auto bytes = good;
    bytes[at] = std::byte{99};
    CHECK_FALSE(decode(bytes));
  }
  auto type_zero = good;
  CHECK(type_zero[first_event_at] == std::byte{1});
  type_zero[first_event_at] = std::byte{0};
  CHECK_FALSE(decode(type_zero));
}

TEST_CASE("record: an event whose size and content disagree is refused in both directions") {
  Record wrong = record();
  wrong.events[0].size += 1;
  CHECK_FALSE(encode(wrong));
  wrong = record();
  wrong.events[3].content = "a kernel's bytes";
  CHECK_FALSE(encode(wrong));
  auto bytes = encode(record()).value();
  // A builder event retyped as a kernel event: its content may not be there.
  bytes[first_event_at] = std::byte{4};
  const auto refused = decode(bytes);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message().contains("event 0 (kernel) is inconsistent"));
}

TEST_CASE("record: limits hold in both directions") {
  Record large = record();
  large.requester = std::string(max_requester_bytes + 1, 'r');
  CHECK_FALSE(encode(large));
  large = record();
  large.events[3].label = std::string(max_label_bytes + 1, 'l');
  CHECK_FALSE(encode(large));
  large = record();
  large.events.assign(max_record_events + 1, record().events[3]);
  CHECK_FALSE(encode(large));
  // Within each single limit, but above the limit of the whole.
  large = record();
  Event text{.type = EventType::command_line,
             .label = {},
             .content = std::string(max_content_bytes, 'c'),
             .size = max_content_bytes,
             .digests = {}};
  large.events.assign(8, text);
  const auto refused = encode(large);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::limit);
  const auto too_long = decode(std::vector<std::byte>(max_record_bytes + 1));
  REQUIRE_FALSE(too_long.has_value());
  CHECK(too_long.error().code == ErrorCode::limit);
}

TEST_CASE("uuid: text comes back in lower case") {
  const auto uuid = uuid_from_text("6A0E5A44-2f4e-4B0E-9d57-0c5f6f7a1b11");
  REQUIRE(uuid.has_value());
  CHECK(to_string(*uuid) == "6a0e5a44-2f4e-4b0e-9d57-0c5f6f7a1b11");
  CHECK((*uuid)[0] == std::byte{0x6a});
  CHECK((*uuid)[15] == std::byte{0x11});
}

TEST_CASE("uuid: anything but 8-4-4-4-12 digits is refused") {
  for (const char* bad :
       {"", "6a0e5a442f4e4b0e9d570c5f6f7a1b11", "6a0e5a44-2f4e-4b0e-9d57-0c5f6f7a1b1",
        "6a0e5a44-2f4e-4b0e-9d57-0c5f6f7a1b111", "6a0e5a44-2f4e-4b0e-9d570-c5f6f7a1b11",
        "6a0e5a44-2f4e-4b0e-9d57-0c5f6f7a1b1g", "------------------------------------",
        "{6a0e5a44-2f4e-4b0e-9d57-0c5f6f7a1b1"})
    CHECK_FALSE(uuid_from_text(bad));
}
