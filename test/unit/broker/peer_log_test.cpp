// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/peer_log.hpp"

#include <doctest/doctest.h>

#include "ashlar/broker/limits.hpp"
#include "engine.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

TEST_CASE("peer log: one that floods is cut off, and it is told how much was left out") {
  const CapturedLog captured;
  Allowance::Time now{};
  PeerLog log("domain 3", now);
  for (std::uint32_t i = 0; i < peer_log_burst + 7; ++i)
    log.write(log::Level::notice, "refused", now);
  CHECK(captured.count("refused") == peer_log_burst);
  CHECK(captured.count("domain 3 causes more lines than are logged") == 1);
  CHECK_FALSE(log.idle(now));
  now += peer_log_pause;
  log.write(log::Level::notice, "later", now);
  CHECK(captured.count("domain 3: 7 lines were left out") == 1);
  CHECK(captured.count("later") == 1);
  now += peer_log_pause * peer_log_burst;
  CHECK(log.idle(now));
}

TEST_CASE("peer log: a tenant's flood, over however many connections, leaves room for others") {
  Engine engine(tenants_policy());
  const CapturedLog captured;
  const ipc::Request wrong = create_request("vtpm-mine", "kernel");
  for (int connection = 0; connection < 4; ++connection) {
    Client red = engine.connect(11, "red");
    for (std::uint32_t i = 0; i < peer_log_burst / 2; ++i)
      CHECK(outcome(red.call(wrong)) == "invalid");
  }
  CHECK(captured.count("domain 11: checking the name") >= peer_log_burst);
  CHECK(captured.count("domain 11: checking the name") < peer_log_burst * 2);
  Client blue = engine.connect(12, "blue");
  CHECK(outcome(blue.call(wrong)) == "invalid");
  CHECK(captured.count("domain 12: checking the name") == 1);
}
