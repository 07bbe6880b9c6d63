// SPDX-License-Identifier: LGPL-2.1-or-later
// The expected values were computed with Python's hashlib from the guest's bytes.
#include <doctest/doctest.h>

#include "ashlar/measure/pcr_profile.hpp"
#include "guest_events.hpp"

using namespace ashlar;
using namespace ashlar::measure;

namespace {

PcrValues pcrs(Profile profile, const std::vector<Event>& events) {
  return replay(extensions_of(profile, events).value()).value();
}

std::vector<std::uint32_t> numbers(const PcrValues& values) {
  std::vector<std::uint32_t> all;
  for (const auto& [pcr, value] : values)
    all.push_back(pcr);
  return all;
}

std::string sha256_of(const PcrValues& values, std::uint32_t pcr) {
  return to_hex(values.at(pcr).sha256);
}

constexpr const char* kernel_alone =
    "311ba123acb2d9fbbc9538983a0d11e4cbcbce81c52ca93add4d7eac9e9b5ae0";
constexpr const char* configuration_then_command_line =
    "f0276e6cebd709b43a59061c2b6359857f330a2158393dda10e1d805955342a0";

} // namespace

TEST_CASE("profile: uapi extends 9 with initrds, 11 with the kernel, 12 with the texts") {
  const PcrValues values = pcrs(Profile::uapi, guest_events({"one", "two"}));
  CHECK(numbers(values) == std::vector<std::uint32_t>{9, 11, 12});
  CHECK(sha256_of(values, 9) == "b88f3f290fe4ac11da329c5515b418b937de9be1abffb4ff40de976ef83a28ee");
  CHECK(sha256_of(values, 11) == kernel_alone);
  CHECK(sha256_of(values, 12) == configuration_then_command_line);
}

TEST_CASE("profile: every bank is replayed with its own hash") {
  const PcrValues values = pcrs(Profile::uapi, guest_events({"one", "two"}));
  CHECK(to_hex(values.at(12).sha1) == "b08dd95f970acf1e3bce1d1f025645eaaecd681e");
  CHECK(to_hex(values.at(12).sha384) ==
        "72a223b55991824e79bc1937344f4caa616476cc57384e0db2aed5b3dd999bfc"
        "eebbbc6e83d02e928f441e8944aea178");
}

TEST_CASE("profile: grub extends 8 with the texts, 9 with the kernel and then the initrds") {
  const PcrValues values = pcrs(Profile::grub, guest_events({"one", "two"}));
  CHECK(numbers(values) == std::vector<std::uint32_t>{8, 9});
  CHECK(sha256_of(values, 8) == configuration_then_command_line);
  CHECK(sha256_of(values, 9) == "5b83cc894b6d634d6892ac255cfd7a4daa7c961621c0952a4672a785e28a614b");
}

TEST_CASE("profile: pv-grub extends 4 and 5 in SHA-1 alone, without the configuration") {
  const PcrValues values = pcrs(Profile::pv_grub, guest_events({"one", "two"}));
  CHECK(numbers(values) == std::vector<std::uint32_t>{4, 5});
  CHECK(to_hex(values.at(4).sha1) == "5aa4ea5160e7c3f462ee6f1f30ecc186a7281b1b");
  CHECK(to_hex(values.at(5).sha1) == "04d5ce6e823138dca55c75014cbdbe0555eb85d5");
  REQUIRE(banks_of(Profile::pv_grub).size() == 1);
  CHECK(banks_of(Profile::pv_grub).front() == Bank::sha1);
}

TEST_CASE("profile: without an initrd its PCR is extended with the hash of nothing") {
  CHECK(sha256_of(pcrs(Profile::uapi, guest_events({})), 9) ==
        "1c9ecec90e28d2461650418635878a5c91e49f47586ecf75f2b0cbb94e897112");
  CHECK(to_hex(pcrs(Profile::pv_grub, guest_events({})).at(5).sha1) ==
        "bd0b1a27c356c392a1a21b8c91d3822a4597964c");
}

TEST_CASE("profile: the order of initrds shows, the builder and the policy do not") {
  std::vector<Event> events = guest_events({"one", "two"});
  const PcrValues values = pcrs(Profile::uapi, events);
  CHECK(pcrs(Profile::uapi, guest_events({"two", "one"})) != values);
  std::erase_if(events, [](const Event& event) {
    return event.type == EventType::builder || event.type == EventType::policy;
  });
  CHECK(pcrs(Profile::uapi, events) == values);
}

TEST_CASE("profile: the log's text holds what readers recompute, or says what was measured") {
  using namespace std::string_literals;
  const auto texts = [](Profile profile, const std::vector<Event>& events) {
    std::vector<std::string> all;
    const std::vector<Extension> extensions = extensions_of(profile, events).value();
    for (const Extension& extension : extensions)
      all.push_back(extension.log_text);
    return all;
  };
  const std::string configuration = guest_events({})[2].content;
  CHECK(texts(Profile::uapi, guest_events({"one"})) ==
        std::vector{configuration, "kernel: vmlinuz\0"s, "console=hvc0"s,
                    "initrd: initrd-of-one\0"s});
  CHECK(texts(Profile::grub, guest_events({})) ==
        std::vector{"grub_cmd: " + configuration + "\0"s, "kernel: vmlinuz\0"s,
                    "kernel_cmdline: console=hvc0\0"s, "no_initrd\0"s});
  CHECK(texts(Profile::pv_grub, guest_events({"one"})) ==
        std::vector{"kernel: vmlinuz\0"s, "command_line: console=hvc0\0"s,
                    "initrd: initrd-of-one\0"s});
}

TEST_CASE("profile: a record that lacks what a PCR is for is refused, not left empty") {
  for (const EventType type :
       {EventType::configuration, EventType::kernel, EventType::command_line, EventType::initrd}) {
    std::vector<Event> events = guest_events({"one"});
    std::erase_if(events, [type](const Event& event) { return event.type == type; });
    const auto refused = extensions_of(Profile::uapi, events);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == ErrorCode::invalid);
    CHECK(refused.error().why.find(to_string(type)) != std::string::npos);
  }
}

TEST_CASE("profile: a content that is not what was measured is refused") {
  std::vector<Event> events = guest_events({"one"});
  events[4].content += " init=/bin/sh";
  const auto refused = extensions_of(Profile::uapi, events);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::integrity);
}

TEST_CASE("profile: its word is read back, and no other word is a profile") {
  for (const Profile profile : all_profiles)
    CHECK(profile_from_text(to_string(profile)).value() == profile);
  CHECK_FALSE(profile_from_text("pv_grub"));
}
