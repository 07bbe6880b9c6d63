// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>
#include <unistd.h>

#include "ashlar/tpm/limits.hpp"
#include "ashlar/tpm/session.hpp"
#include "fake_quoter.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

struct Connected {
  TemporaryDirectory directory;
  Machine machine;
  std::unique_ptr<Manager> manager = *Manager::start(directory.path(), 13, make_tpm(machine));
  FakeQuoter quoter{machine};
  EvidenceService evidence{*manager, quoter};
  TransportPair pair = make_transports(directory);
  ipc::FrameStream builder{*pair.builder};
  Allowance::Time now{};
  Session session{*manager, evidence, std::move(pair.manager), [this] { return now; }};

  void send(const Request& request) {
    REQUIRE(builder.send(ipc::FrameKind::control, *encode(request)));
  }
  [[nodiscard]] Reply reply() {
    const auto frame = builder.receive();
    REQUIRE(frame.has_value());
    REQUIRE(frame->has_value());
    const auto decoded = decode_reply((*frame)->payload);
    REQUIRE(decoded.has_value());
    return *decoded;
  }
  [[nodiscard]] Reply ask(const Request& request) {
    send(request);
    REQUIRE(session.turn());
    return reply();
  }
};

} // namespace

TEST_CASE("session: only the builder's domain, or root on this machine, is the builder") {
  CHECK(from_builder(ipc::VchanPeer{0}, 0));
  CHECK_FALSE(from_builder(ipc::VchanPeer{1}, 0));
  CHECK_FALSE(from_builder(ipc::VchanPeer{0}, 3));
  CHECK(from_builder(ipc::UnixPeer{.uid = 0}, 3));
  CHECK(from_builder(ipc::UnixPeer{.uid = geteuid()}, 0));
  CHECK_FALSE(from_builder(ipc::UnixPeer{.uid = geteuid() + 1}, 0));
}

TEST_CASE("session: greets, takes a record, revokes it and tells its state") {
  Connected c;
  CHECK(std::get<Ack>(c.ask({0, Hello{}}).body).log_events == 0);
  const auto record = encoded(make_record(1, 5));
  const Reply put = c.ask({1, PutRecord{record}});
  CHECK(put == Reply{1, Ack{1, 13, replay_sha256({record}), 1}});
  CHECK(std::get<Ack>(c.ask({2, StatusQuery{}}).body).value == c.machine.pcr.sha256);
  CHECK(std::holds_alternative<Ack>(c.ask({3, Revoke{1}}).body));
  const Reply late = c.ask({4, PutRecord{record}});
  CHECK(std::get<Refused>(late.body).code == RefusalCode::revoked);
}

TEST_CASE("session: tells which TPM it is, or why it cannot") {
  Connected c;
  static_cast<void>(c.ask({0, Hello{}}));
  const auto identity = c.ask({1, IdentityQuery{}});
  CHECK(std::get<HostIdentity>(identity.body).attestation_key == c.quoter.key);
  Connected dead;
  dead.quoter.fails = true;
  static_cast<void>(dead.ask({0, Hello{}}));
  CHECK(std::get<Refused>(dead.ask({1, IdentityQuery{}}).body).code == RefusalCode::hardware);
}

TEST_CASE("session: the PCR is read for a status now and then, and after each record") {
  Connected c;
  static_cast<void>(c.ask({0, Hello{}}));
  const auto record = encoded(make_record(1, 5));
  static_cast<void>(c.ask({1, PutRecord{record}}));
  const auto status = [&c](std::uint64_t id) { return c.ask({id, StatusQuery{}}).body; };
  CHECK(std::holds_alternative<Ack>(status(2)));
  c.machine.dead = true;
  for (std::uint64_t id = 3; id < 20; ++id)
    CHECK(std::get<Ack>(status(id)).log_events == 1); // not asked
  c.now += identity_kept;
  CHECK(std::get<Refused>(status(20)).code == RefusalCode::hardware);
  c.machine.dead = false;
  CHECK(std::get<Refused>(status(21)).code == RefusalCode::hardware); // left alone
  c.now += identity_retry_pause;
  CHECK(std::get<Ack>(status(22)).log_events == 1);
  static_cast<void>(c.ask({23, PutRecord{encoded(make_record(2, 6))}}));
  CHECK(std::get<Ack>(status(24)).log_events == 2);
}

TEST_CASE("session: a refusal ends nothing") {
  Connected c;
  static_cast<void>(c.ask({0, Hello{}}));
  const Reply bad = c.ask({1, PutRecord{{std::byte{1}}}});
  CHECK(std::get<Refused>(bad.body).code == RefusalCode::invalid);
  CHECK(std::holds_alternative<Ack>(c.ask({2, StatusQuery{}}).body));
}

TEST_CASE("session: answers many requests in their order") {
  Connected c;
  c.send({0, Hello{}});
  for (std::uint64_t id = 1; id <= frames_per_turn; ++id)
    c.send({id, Revoke{id}});
  REQUIRE(c.session.turn());
  CHECK(c.session.busy()); // one more than a turn takes
  REQUIRE(c.session.turn());
  CHECK_FALSE(c.session.busy());
  for (std::uint64_t id = 0; id <= frames_per_turn; ++id)
    CHECK(c.reply().id == id);
}

TEST_CASE("session: a connection that breaks the protocol is closed") {
  Connected c;
  ErrorCode expected = ErrorCode::invalid;
  SUBCASE("a request before Hello") {
    c.send({1, StatusQuery{}});
  }
  SUBCASE("a second Hello") {
    c.send({0, Hello{}});
    c.send({0, Hello{}});
  }
  SUBCASE("a data frame") {
    REQUIRE(c.builder.send(ipc::FrameKind::data, *encode(Request{0, Hello{}})));
  }
  SUBCASE("bytes that are no request") {
    REQUIRE(c.builder.send(ipc::FrameKind::control, std::vector<std::byte>(5)));
  }
  SUBCASE("hanging up") {
    c.pair.builder.reset();
    expected = ErrorCode::peer_closed;
  }
  const Status closed = c.session.turn();
  REQUIRE_FALSE(closed.has_value());
  CHECK(closed.error().code == expected);
  CHECK(c.machine.extensions == 0);
}

TEST_CASE("session: another version of the protocol is refused by name") {
  Connected c;
  const Reply reply = c.ask({0, Hello{link_version + 1}});
  CHECK(std::get<Refused>(reply.body).reason.find("version 3") != std::string::npos);
  c.send({1, Revoke{1}}); // and nothing else is taken on this connection
  CHECK_FALSE(c.session.turn().has_value());
}
