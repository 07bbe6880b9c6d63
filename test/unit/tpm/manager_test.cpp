// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/manager.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

constexpr std::uint32_t pcr_number = 13;

struct Bench {
  TemporaryDirectory directory;
  Machine machine;
  std::unique_ptr<Manager> manager = start();

  [[nodiscard]] std::unique_ptr<Manager> start() {
    auto started = Manager::start(directory.path(), pcr_number, make_tpm(machine));
    REQUIRE_MESSAGE(started.has_value(), started.error().message());
    return *std::move(started);
  }
  void restart() {
    manager.reset(); // gives the lock back, and nothing else: all state is in the journal
    manager = start();
  }
  [[nodiscard]] ErrorCode start_refusal() {
    manager.reset();
    const auto started = Manager::start(directory.path(), pcr_number, make_tpm(machine));
    REQUIRE_FALSE(started.has_value());
    return started.error().code;
  }
};

std::vector<std::byte> one() {
  return encoded(make_record(1, 5));
}
std::vector<std::byte> two() {
  return encoded(make_record(2, 6));
}

ErrorCode code_of(const Result<Ack>& result) {
  REQUIRE_FALSE(result.has_value());
  return result.error().code;
}

} // namespace

TEST_CASE("manager: acknowledges a record with the PCR's value after it") {
  Bench bench;
  const auto first = bench.manager->put(one());
  REQUIRE(first.has_value());
  CHECK(*first == Ack{1, pcr_number, replay_sha256({one()}), 1});
  CHECK(bench.machine.pcr.sha256 == replay_sha256({one()}));
  const auto second = bench.manager->put(two());
  REQUIRE(second.has_value());
  CHECK(*second == Ack{2, pcr_number, replay_sha256({one(), two()}), 2});
}

TEST_CASE("manager: a replayed record is acknowledged again and extended once") {
  Bench bench;
  REQUIRE(bench.manager->put(one()));
  CHECK(bench.manager->put(one()).has_value());
  CHECK(bench.machine.extensions == 1);
}

TEST_CASE("manager: a forged record changes nothing") {
  Bench bench;
  REQUIRE(bench.manager->put(one()));
  CHECK(code_of(bench.manager->put(encoded(make_record(1, 5, "other")))) == ErrorCode::exists);
  CHECK(code_of(bench.manager->put(as_bytes("not a record"))) == ErrorCode::invalid);
  std::vector<std::byte> longer = two();
  longer.push_back(std::byte{0});
  CHECK(code_of(bench.manager->put(longer)) == ErrorCode::invalid);
  CHECK(bench.machine.extensions == 1);
  bench.restart();
  CHECK(bench.manager->ledger().log().size() == 1);
}

TEST_CASE("manager: a record after its revocation is refused, over a restart too") {
  Bench bench;
  REQUIRE(bench.manager->put(one()));
  REQUIRE(bench.manager->revoke(1));
  REQUIRE(bench.manager->revoke(2)); // its record has not come
  for (int round = 0; round < 2; ++round) {
    CHECK(code_of(bench.manager->put(one())) == ErrorCode::denied);
    CHECK(code_of(bench.manager->put(two())) == ErrorCode::denied);
    CHECK_FALSE(bench.manager->ledger().find_domid(5));
    bench.restart();
  }
  CHECK(bench.machine.extensions == 1);
}

TEST_CASE("manager: a revocation that the journal did not take is not done, and can be repeated") {
  Bench bench;
  REQUIRE(bench.manager->put(one()));
  rlimit usual{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &usual) == 0);
  rlimit full = usual;
  full.rlim_cur = std::filesystem::file_size(bench.directory.path() + "/log");
  signal(SIGXFSZ, SIG_IGN); // or the write would end the process
  REQUIRE(setrlimit(RLIMIT_FSIZE, &full) == 0);
  const Result<Ack> refused = bench.manager->revoke(1);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &usual) == 0);
  CHECK(code_of(refused) == ErrorCode::io);
  CHECK(bench.manager->ledger().find_domid(5));
  REQUIRE(bench.manager->revoke(1));
  bench.restart();
  CHECK_FALSE(bench.manager->ledger().find_domid(5));
}

TEST_CASE("manager: revokes while the TPM is dead") {
  Bench bench;
  REQUIRE(bench.manager->put(one()));
  bench.machine.dead = true;
  CHECK(bench.manager->revoke(1).has_value());
  CHECK_FALSE(bench.manager->ledger().find_domid(5));
  CHECK(code_of(bench.manager->status()) == ErrorCode::io);
}

TEST_CASE("manager: a restart keeps the log and extends nothing") {
  Bench bench;
  REQUIRE(bench.manager->put(one()));
  REQUIRE(bench.manager->put(two()));
  bench.restart();
  CHECK(bench.machine.extensions == 2);
  REQUIRE(bench.manager->ledger().find_domid(6));
  CHECK(bench.manager->ledger().find_domid(6)->encoded == two());
  CHECK(bench.manager->put(one()).has_value()); // the builder never got its acknowledgement
  CHECK(bench.machine.extensions == 2);
}

TEST_CASE("manager: killed between extension and acknowledgement, it does not extend twice") {
  Bench bench;
  REQUIRE(bench.manager->put(one()));
  bench.machine.read_fails_after_extend = true;
  CHECK_FALSE(bench.manager->put(two()).has_value());
  REQUIRE(bench.machine.extensions == 2);
  bench.machine = Machine{.pcr = bench.machine.pcr, .extensions = 2};
  bench.restart();
  const auto again = bench.manager->put(two());
  REQUIRE(again.has_value());
  CHECK(again->value == replay_sha256({one(), two()}));
  CHECK(bench.machine.extensions == 2);
}

TEST_CASE("manager: killed between intent and extension, it extends at its next start") {
  Bench bench;
  bench.machine.extend_fails_before = true;
  CHECK(code_of(bench.manager->put(one())) == ErrorCode::io);
  REQUIRE(bench.machine.extensions == 0);
  bench.machine.extend_fails_before = false;
  bench.restart();
  CHECK(bench.machine.extensions == 1);
  CHECK(bench.manager->put(one()).has_value());
  CHECK(bench.machine.extensions == 1);
}

TEST_CASE("manager: an extension that reports an error but happened is not repeated") {
  Bench bench;
  bench.machine.extend_fails_after = true;
  CHECK(code_of(bench.manager->put(one())) == ErrorCode::io);
  bench.machine.extend_fails_after = false;
  const auto other = bench.manager->put(two());
  REQUIRE(other.has_value());
  CHECK(other->value == replay_sha256({one(), two()}));
  CHECK(bench.machine.extensions == 2);
}

TEST_CASE("manager: a record that is revoked while its extension is open ends up revoked") {
  Bench bench;
  bench.machine.read_fails_after_extend = true;
  CHECK_FALSE(bench.manager->put(one()).has_value());
  REQUIRE(bench.manager->revoke(1));
  bench.machine = Machine{.pcr = bench.machine.pcr, .extensions = 1};
  SUBCASE("in the same process") {}
  SUBCASE("over a restart") {
    bench.restart();
  }
  CHECK(code_of(bench.manager->put(one())) == ErrorCode::denied);
  REQUIRE(bench.manager->ledger().find(1));
  CHECK(bench.manager->ledger().find(1)->revoked);
  CHECK(bench.machine.extensions == 1);
}

TEST_CASE("manager: takes nothing once somebody else extended the PCR") {
  Bench bench;
  REQUIRE(bench.manager->put(one()));
  bench.machine.pcr.sha1[0] ^= std::byte{1};
  CHECK(code_of(bench.manager->put(two())) == ErrorCode::integrity);
  CHECK(code_of(bench.manager->put(one())) == ErrorCode::integrity);
  CHECK(bench.machine.extensions == 1);
  CHECK(bench.start_refusal() == ErrorCode::integrity);
}

TEST_CASE("manager: does not begin a log on a PCR that was extended before") {
  Bench bench;
  bench.machine.pcr.sha256[31] = std::byte{1};
  CHECK(bench.start_refusal() == ErrorCode::integrity);
}

TEST_CASE("manager: does not start when its log is lost but the PCR is not") {
  Bench bench;
  REQUIRE(bench.manager->put(one()));
  REQUIRE(remove((bench.directory.path() + "/log").c_str()) == 0);
  CHECK(bench.start_refusal() == ErrorCode::integrity);
}
