// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/constructor/plan.hpp"

using namespace ashlar;
using constructor::Outcome, constructor::Plan;

namespace {

Plan sample() {
  Plan plan;
  for (std::size_t i = 0; i < plan.uuid.size(); i++)
    plan.uuid[i] = static_cast<std::byte>(0xa0 + i);
  plan.configuration.name = "web-1";
  plan.configuration.type = measure::GuestType::pv;
  plan.configuration.vcpus = 4;
  plan.configuration.memory_kib = 262144;
  plan.configuration.max_memory_kib = 524288;
  plan.configuration.on_poweroff = measure::StopAction::preserve;
  plan.configuration.on_reboot = measure::StopAction::destroy;
  plan.configuration.on_crash = measure::StopAction::restart;
  plan.configuration.xsm_label = "system_u:system_r:domU_t";
  plan.command_line = "console=hvc0 quiet";
  plan.initrd_count = 2;
  plan.builder_domid = 2;
  plan.console_domid = 3;
  plan.xenstore_domid = 5;
  return plan;
}

Error refusal(const Plan& plan) {
  const auto decoded = constructor::decode_plan(constructor::encode(plan));
  REQUIRE_FALSE(decoded);
  return decoded.error();
}

} // namespace

TEST_CASE("plan: every field comes back") {
  const Plan plan = sample();
  const auto back = constructor::decode_plan(constructor::encode(plan));
  REQUIRE(back);
  CHECK(back->uuid == plan.uuid);
  CHECK(measure::canonical_text(back->configuration) ==
        measure::canonical_text(plan.configuration));
  CHECK(back->command_line == plan.command_line);
  CHECK(back->initrd_count == 2);
  CHECK(back->builder_domid == 2);
  CHECK(back->console_domid == 3);
  CHECK(back->xenstore_domid == 5);
}

TEST_CASE("plan: one cut short at any byte is refused") {
  const auto bytes = constructor::encode(sample());
  for (std::size_t length = 0; length < bytes.size(); length++)
    CHECK_FALSE(constructor::decode_plan(std::span(bytes).first(length)));
}

TEST_CASE("plan: bytes behind the end are refused") {
  auto bytes = constructor::encode(sample());
  bytes.push_back(std::byte{0});
  CHECK_FALSE(constructor::decode_plan(bytes));
}

TEST_CASE("plan: any changed byte is refused or read as something that is valid") {
  const auto bytes = constructor::encode(sample());
  for (std::size_t at = 0; at < bytes.size(); at++) {
    auto changed = bytes;
    changed[at] ^= std::byte{0x80};
    const auto decoded = constructor::decode_plan(changed);
    if (decoded)
      CHECK(measure::validate(decoded->configuration));
    // One plan has one encoding, so a changed encoding never reads as the same plan.
    if (decoded)
      CHECK(constructor::encode(*decoded) == changed);
  }
}

TEST_CASE("plan: more bytes than any plan has are refused unread") {
  const std::vector<std::byte> bytes(constructor::max_plan_bytes + 1);
  const auto decoded = constructor::decode_plan(bytes);
  REQUIRE_FALSE(decoded);
  CHECK(decoded.error().code == ErrorCode::limit);
}

TEST_CASE("plan: a PV command line that start_info would cut off is refused") {
  Plan plan = sample();
  plan.command_line.assign(1023, 'a');
  CHECK(constructor::decode_plan(constructor::encode(plan)));
  plan.command_line.assign(1024, 'a');
  CHECK(refusal(plan).code == ErrorCode::limit);
  CHECK(refusal(plan).why == "the command line has 1024 bytes; a pv guest can take 1023");
}

TEST_CASE("plan: a PVH command line may be as long as Linux reads") {
  Plan plan = sample();
  plan.configuration.type = measure::GuestType::pvh;
  plan.command_line.assign(constructor::max_command_line_bytes, 'a');
  CHECK(constructor::decode_plan(constructor::encode(plan)));
  plan.command_line.push_back('a');
  CHECK_FALSE(constructor::decode_plan(constructor::encode(plan)));
}

TEST_CASE("plan: a NUL in the command line, which would end it early, is refused") {
  Plan plan = sample();
  plan.command_line[3] = '\0';
  CHECK(refusal(plan).why == "the command line has a NUL at byte 3");
}

TEST_CASE("plan: memory that is no whole number of MiB is refused, with the two next to it") {
  Plan plan = sample();
  plan.configuration.memory_kib = 1025;
  CHECK(refusal(plan).why.ends_with("use 1024 or 2048 KiB"));
}

TEST_CASE("plan: counts above the limits are refused") {
  Plan plan = sample();
  plan.configuration.vcpus = constructor::max_vcpus + 1;
  CHECK(refusal(plan).code == ErrorCode::limit);
  plan = sample();
  plan.initrd_count = constructor::max_initrds + 1;
  CHECK(refusal(plan).code == ErrorCode::limit);
  plan = sample();
  plan.configuration.max_memory_kib = constructor::max_memory_kib + 1024;
  CHECK(refusal(plan).code == ErrorCode::limit);
  plan = sample();
  plan.console_domid = 0x7ff0;
  CHECK(refusal(plan).code == ErrorCode::invalid);
}

TEST_CASE("outcome: a domain comes back") {
  const auto back = constructor::decode_outcome(constructor::encode(Outcome{.domid = 17}));
  REQUIRE(back);
  REQUIRE(back->domid);
  CHECK(*back->domid == 17);
}

TEST_CASE("outcome: an error comes back, and its texts are cut to fit") {
  const Error error{ErrorCode::denied, "creating a domain", std::string(5000, 'x'), 13};
  const auto bytes = constructor::encode(Outcome{.domid = std::unexpected(error)});
  CHECK(bytes.size() <= constructor::max_outcome_bytes);
  const auto back = constructor::decode_outcome(bytes);
  REQUIRE(back);
  REQUIRE_FALSE(back->domid);
  CHECK(back->domid.error().code == ErrorCode::denied);
  CHECK(back->domid.error().doing == "creating a domain");
  CHECK(back->domid.error().why == std::string(1536, 'x'));
  CHECK(back->domid.error().system_errno == 13);
}

TEST_CASE("outcome: nothing, half of one, and domain 0 are no outcome") {
  CHECK_FALSE(constructor::decode_outcome({}));
  const auto bytes = constructor::encode(Outcome{.domid = 17});
  CHECK_FALSE(constructor::decode_outcome(std::span(bytes).first(bytes.size() - 1)));
  CHECK_FALSE(constructor::decode_outcome(constructor::encode(Outcome{.domid = 0})));
}

TEST_CASE("outcome: an error code that means nothing is refused") {
  const Error error{ErrorCode::io, "a", "b", 0};
  auto bytes = constructor::encode(Outcome{.domid = std::unexpected(error)});
  bytes[5] = std::byte{200};
  CHECK_FALSE(constructor::decode_outcome(bytes));
}
