// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>
#include <poll.h>

#include <deque>

#include "ashlar/tpm/manager_link.hpp"
#include "ashlar/tpm/session.hpp"
#include "fake_quoter.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

using namespace std::chrono_literals;

// A manager behind a link, in one thread and with a clock that the test moves.
struct Linked {
  TemporaryDirectory directory;
  Machine machine;
  FakeQuoter quoter{machine};
  std::unique_ptr<Manager> manager = start();
  std::optional<EvidenceService> evidence;
  std::unique_ptr<Session> session;
  bool reachable = true;
  bool answers = true;
  int connections = 0;
  ManagerLink::Clock::time_point now{1h};
  ManagerLink link{[this] { return connect(); }, {.answer_time = 30s, .retry_pause = 500ms}};

  [[nodiscard]] std::unique_ptr<Manager> start() {
    auto started = Manager::start(directory.path(), 13, make_tpm(machine));
    REQUIRE(started.has_value());
    return *std::move(started);
  }
  [[nodiscard]] Result<std::unique_ptr<ipc::Transport>> connect() {
    if (!reachable)
      return failure(ErrorCode::not_found, "connecting", "nobody is there");
    ++connections;
    TransportPair pair = make_transports(directory);
    evidence.emplace(*manager, quoter, [this] { return now; });
    session = std::make_unique<Session>(*manager, *evidence, std::move(pair.manager),
                                        [this] { return now; });
    return std::move(pair.builder);
  }
  // Both sides until nothing moves any more; a closed session ends.
  void run() {
    for (int round = 0; round < 8; ++round) {
      link.turn(now);
      if (session && answers && !session->turn())
        session.reset();
    }
  }
  void restart_manager() {
    session.reset();
    manager.reset();
    manager = start();
  }
  void put(std::uint64_t serial, std::uint32_t domid) {
    REQUIRE(link.put(make_record(serial, domid),
                     [this](Result<Ack> result) { results.push_back(std::move(result)); }));
  }
  void revoke(std::uint64_t serial) {
    REQUIRE(
        link.revoke(serial, [this](Result<Ack> result) { results.push_back(std::move(result)); }));
  }
  [[nodiscard]] Result<Ack> next_result() {
    REQUIRE_FALSE(results.empty());
    Result<Ack> result = std::move(results.front());
    results.pop_front();
    return result;
  }
  std::deque<Result<Ack>> results;
};

} // namespace

TEST_CASE("link: a record is acknowledged with the PCR's value") {
  Linked l;
  l.put(1, 5);
  CHECK(l.results.empty()); // never from inside the call
  CHECK(l.link.waiting() == 1);
  l.run();
  const auto ack = l.next_result();
  REQUIRE(ack.has_value());
  CHECK(ack->serial == 1);
  CHECK(ack->value == l.machine.pcr.sha256);
  CHECK(l.link.waiting() == 0);
  CHECK(l.link.connected());
  CHECK(l.link.descriptor() >= 0);
  CHECK((l.link.events() & POLLIN) != 0);
}

TEST_CASE("link: requests are done in the order in which they were given") {
  Linked l;
  l.put(1, 5);
  l.revoke(1);
  l.put(2, 5); // refused unless the revocation came first
  l.run();
  for (int i = 0; i < 3; ++i)
    CHECK(l.next_result().has_value());
}

TEST_CASE("link: a refusal is told with its reason") {
  Linked l;
  l.revoke(1);
  l.put(1, 5);
  l.run();
  CHECK(l.next_result().has_value());
  const auto refused = l.next_result();
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::denied);
  CHECK(refused.error().why.find("revoked") != std::string::npos);
}

TEST_CASE("link: what a lost connection left open is sent again and extended once") {
  Linked l;
  std::unique_ptr<Session> silent; // the old connection, kept open
  l.put(1, 5);
  l.link.turn(l.now);         // Hello
  REQUIRE(l.session->turn()); // its answer
  l.link.turn(l.now);         // the record
  REQUIRE(l.session->turn()); // extended and answered, but the answer is never read:
  REQUIRE(l.machine.extensions == 1);
  SUBCASE("the manager is killed") {
    l.restart_manager();
    l.link.turn(l.now); // reads the answer that was under way, or sees the end
  }
  SUBCASE("the connection is replaced") {
    silent = std::move(l.session);
    l.now += 31s;
    l.link.turn(l.now);
  }
  l.now += 1s;
  l.run();
  CHECK(l.results.size() == 1);
  CHECK(l.machine.extensions == 1);
}

TEST_CASE("link: waits for a manager that is not there yet, and tries again in time") {
  Linked l;
  l.reachable = false;
  l.put(1, 5);
  l.run();
  CHECK(l.results.empty());
  CHECK(l.link.descriptor() == -1);
  CHECK(l.link.trouble().find("nobody is there") != std::string::npos);
  REQUIRE(l.link.deadline().has_value());
  CHECK(*l.link.deadline() == l.now + 500ms);
  l.reachable = true;
  l.run();
  CHECK(l.connections == 0); // not before the pause is over
  l.now += 500ms;
  l.run();
  CHECK(l.next_result().has_value());
}

TEST_CASE("link: a record without an answer in time is an error that says why, and is given up") {
  Linked l;
  l.reachable = false;
  l.put(1, 5);
  l.run();
  l.now += 30s;
  l.run();
  const auto late = l.next_result();
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error().code == ErrorCode::timeout);
  CHECK(late.error().why.find("nobody is there") != std::string::npos);
  l.reachable = true;
  l.now += 1s;
  l.run();
  CHECK(l.results.empty());
  CHECK(l.machine.extensions == 0);
}

TEST_CASE("link: a revocation is sent even after its time is over") {
  Linked l;
  l.put(1, 5);
  l.run();
  REQUIRE(l.next_result().has_value());
  l.reachable = false;
  l.session.reset();
  l.revoke(1);
  l.run();
  l.now += 31s;
  l.run();
  CHECK_FALSE(l.next_result().has_value());
  l.reachable = true;
  l.now += 31s;
  l.run();
  CHECK(l.results.empty()); // told once
  CHECK_FALSE(l.manager->ledger().find_domid(5));
}

TEST_CASE("link: a manager that is silent is left, and the next connection serves") {
  Linked l;
  l.answers = false;
  l.run();
  CHECK(l.connections == 1);
  CHECK_FALSE(l.link.connected());
  l.now += 30s;
  l.run();
  CHECK(l.link.descriptor() == -1);
  l.answers = true;
  l.now += 500ms;
  l.put(1, 5);
  l.run();
  CHECK(l.connections == 2);
  CHECK(l.next_result().has_value());
}

TEST_CASE("link: a callback may make the next request") {
  Linked l;
  bool done = false;
  REQUIRE(l.link.put(make_record(1, 5), [&](Result<Ack> first) {
    REQUIRE(first.has_value());
    REQUIRE(l.link.query([&](Result<Ack> second) { done = second.has_value(); }));
  }));
  l.run();
  CHECK(done);
}

TEST_CASE("link: takes only so many requests") {
  Linked l;
  for (std::uint64_t serial = 1; serial <= max_waiting_requests; ++serial)
    REQUIRE(l.link.revoke(serial, {}));
  const Status refused = l.link.put(make_record(1, 5), {});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::busy);
}

TEST_CASE("link: is served by the builder at a path that libxenvchan takes whole") {
  CHECK(manager_vchan_path(32751) == "/local/domain/32751/data/ashlar/tpm-manager");
  CHECK(manager_vchan_path(32751).size() <= 49);
}

TEST_CASE("link: an identity is answered, refused or overdue as a record is") {
  Linked l;
  std::deque<Result<HostIdentity>> told;
  const auto ask = [&] {
    REQUIRE(l.link.identify(
        [&](Result<HostIdentity> identity) { told.push_back(std::move(identity)); }));
  };
  ask();
  CHECK(told.empty());
  l.run();
  REQUIRE(told.size() == 1);
  CHECK(told[0]->attestation_key == l.quoter.key);
  l.quoter.fails = true;
  l.now += identity_kept;
  ask();
  l.run();
  REQUIRE(told.size() == 2);
  CHECK(told[1].error().code == ErrorCode::io);
  l.answers = false;
  ask();
  l.run();
  l.now += 30s;
  l.run();
  REQUIRE(told.size() == 3);
  CHECK(told[2].error().code == ErrorCode::timeout);
  CHECK(l.link.waiting() == 0);
}

TEST_CASE("link: a manager that answers what was not asked for is connected to anew") {
  Linked l;
  std::unique_ptr<ipc::Transport> other_end;
  ManagerLink link(
      [&]() -> Result<std::unique_ptr<ipc::Transport>> {
        TransportPair pair = make_transports(l.directory);
        other_end = std::move(pair.manager);
        return std::move(pair.builder);
      },
      {});
  bool told = false;
  REQUIRE(link.query([&](const Result<Ack>&) { told = true; }));
  link.turn(l.now);
  ipc::FrameStream stream(*other_end);
  REQUIRE(stream.send(ipc::FrameKind::control, encode(Reply{0, Ack{}})));
  link.turn(l.now); // greeted: sends the query
  CHECK(link.connected());
  REQUIRE(stream.send(ipc::FrameKind::control, encode(Reply{1, HostIdentity{}})));
  link.turn(l.now);
  CHECK_FALSE(link.connected());
  CHECK(link.trouble().find("not asked for") != std::string::npos);
  CHECK_FALSE(told);
  CHECK(link.waiting() == 1); // asked again on the next connection
}
