// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/restart_limit.hpp"

#include <doctest/doctest.h>

#include "ashlar/broker/limits.hpp"

using namespace ashlar;
using namespace ashlar::broker;

TEST_CASE("restarts: a guest that loops is stopped, and others are not") {
  RestartLimit limit;
  const measure::Uuid looping{std::byte{1}};
  const measure::Uuid other{std::byte{2}};
  Allowance::Time now{};
  constexpr std::chrono::seconds uptime = min_uptime_for_restart;
  CHECK(limit.refuse(looping, uptime - std::chrono::seconds(1), now) ==
        "asked for a restart only 1 s after its start");
  for (std::uint32_t i = 0; i < restart_burst; ++i)
    CHECK(limit.refuse(looping, uptime, now += uptime).empty());
  CHECK(limit.refuse(looping, uptime, now).find("too often") != std::string::npos);
  CHECK(limit.refuse(other, uptime, now).empty());

  now += restart_pause;
  CHECK(limit.refuse(looping, uptime, now).empty());
  CHECK_FALSE(limit.refuse(looping, uptime, now).empty());
  now += restart_pause * restart_burst;
  for (std::uint32_t i = 0; i < restart_burst; ++i)
    CHECK(limit.refuse(looping, uptime, now).empty());
  CHECK_FALSE(limit.refuse(looping, uptime, now).empty());
}
