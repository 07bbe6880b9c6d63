// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "scene.hpp"
#include "supervisor.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

TEST_CASE("recovery: a half-built domain is removed and its serial is not used again") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  scene.world.hold_construct = true;
  client.send(create_request("web", "kernel"));
  REQUIRE(scene.until([&] { return scene.world.held.size() == 1; }));
  REQUIRE(scene.world.domains.size() == 1);
  scene.restart();
  CHECK(scene.world.domains.empty());
  CHECK(scene.journal().intents.empty());
  scene.world.hold_construct = false;
  Client later(scene);
  later.hello();
  later.build("web", "kernel");
  REQUIRE(scene.journal().domains.size() == 1);
  CHECK(scene.journal().domains.begin()->first == 2);
}

TEST_CASE("recovery: a complete domain is taken over with its record and not touched") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel", {"initrd"});
  const JournalState before = scene.journal();
  scene.world.calls.clear();
  scene.restart();
  CHECK(scene.world.calls.empty());
  const JournalState after = scene.journal();
  REQUIRE(after.domains.size() == 1);
  CHECK(after.domains.at(1).record == before.domains.at(1).record);
  CHECK(after.next_serial == 2);
  Client later(scene);
  later.hello();
  const ipc::Response answer = later.call(by_domid(ashlar_v1_Request_measurement_tag, 1));
  CHECK(done(answer));
  CHECK(later.parts(answer.id, ashlar_v1_Response_event_tag).size() == 6);
}

TEST_CASE("recovery: a domain that was recorded but not started is started once") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  ipc::Request request = create_request("web", "kernel");
  request.verb.create.paused = true;
  REQUIRE(done(client.call(request)));
  scene.restart();
  CHECK(scene.world.domains.at(1).paused); // as its requester wished
  JournalState state = scene.journal();
  Domain domain = state.domains.at(1);
  domain.leave_paused = false;
  {
    auto opened = Journal::open(scene.journal_path());
    REQUIRE(opened);
    REQUIRE(opened->journal.built(domain));
  }
  scene.restart();
  CHECK_FALSE(scene.world.domains.at(1).paused);
  CHECK(scene.world.count("unpause") == 1);
  scene.restart();
  CHECK(scene.world.count("unpause") == 1);
}

TEST_CASE("recovery: a domain that runs although no start of it was noted is taken over") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  const Domain domain = scene.journal().domains.at(1);
  REQUIRE_FALSE(scene.world.domains.at(1).paused);
  {
    std::filesystem::remove(scene.journal_path());
    auto opened = Journal::open(scene.journal_path());
    REQUIRE(opened);
    REQUIRE(opened->journal.built(domain));
    REQUIRE(opened->journal.admitted(1));
  }
  scene.restart();
  CHECK_FALSE(scene.world.domains.at(1).paused);
  CHECK(scene.journal().started == std::set<std::uint64_t>{1});
}

TEST_CASE("recovery: a recorded domain whose domid is another's now is not unpaused but revoked") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  ipc::Request request = create_request("web", "kernel");
  request.verb.create.paused = true;
  REQUIRE(done(client.call(request)));
  {
    Domain domain = scene.journal().domains.at(1);
    domain.leave_paused = false;
    auto opened = Journal::open(scene.journal_path());
    REQUIRE(opened);
    REQUIRE(opened->journal.built(domain));
  }
  SUBCASE("the domid was given to another domain") {
    scene.world.domains.at(1).uuid = {std::byte{0xaa}};
    scene.restart();
    CHECK(scene.world.domains.at(1).paused);
  }
  SUBCASE("the domain is gone") {
    scene.world.domains.clear();
    scene.restart();
  }
  CHECK(scene.world.count("unpause") == 0);
  CHECK(scene.journal().domains.empty());
}

TEST_CASE("recovery: a domain that died while the builder was down loses its record") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  scene.world.domains.clear();
  scene.restart();
  CHECK(scene.journal().domains.empty());
}

TEST_CASE("recovery: a domain that was revoked but not destroyed is removed") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  scene.world.faults["destroy"] = 1;
  CHECK(outcome(client.call(by_domid(ashlar_v1_Request_destroy_tag, 1))) == "io");
  REQUIRE(scene.world.domains.size() == 1);
  scene.restart();
  CHECK(scene.world.domains.empty());
  CHECK(scene.journal().intents.empty());
}

TEST_CASE("recovery: serials go on after a restart and never repeat") {
  Scene scene;
  for (std::uint64_t serial = 1; serial <= 4; ++serial) {
    Client client(scene);
    client.hello();
    const std::uint32_t domid = client.build("web", "kernel");
    CHECK(scene.journal().domains.begin()->first == serial);
    REQUIRE(done(client.call(by_domid(ashlar_v1_Request_destroy_tag, domid))));
    scene.restart();
  }
}

TEST_CASE("recovery: an incomplete last entry is dropped, what stands before it holds") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  {
    std::ofstream journal(scene.journal_path(), std::ios::binary | std::ios::app);
    journal.write("\x40\x00\x00\x00\x02\x01", 6);
  }
  scene.restart();
  CHECK(scene.journal().domains.size() == 1);
}

TEST_CASE("recovery: a builder does not start with a journal that it cannot read") {
  Scene scene;
  scene.broker.reset();
  write_file(scene.journal_path(), std::string("\x01\x00\x00\x00\x63", 5));
  Broker::Outside outside{fake_hypervisor(scene.world), fake_store(scene.world),
                          fake_workshop(scene.world, scene.loop), fake_tpm_manager(scene.world)};
  CHECK_FALSE(
      Broker::start(scene.loop, scene.settings, std::move(outside), FdStore::from_environment()));
}

TEST_CASE("recovery: a builder does not start while a half-built domain cannot be removed") {
  Scene scene;
  {
    auto opened = Journal::open(scene.journal_path());
    REQUIRE(opened);
    REQUIRE(opened->journal.intent(5, measure::Uuid{std::byte{5}}));
  }
  xen::DomainStatus left;
  left.domid = 3;
  left.uuid = {std::byte{5}};
  scene.world.domains[3] = left;
  scene.broker.reset();
  scene.world.faults["destroy"] = 1;
  Broker::Outside outside{fake_hypervisor(scene.world), fake_store(scene.world),
                          fake_workshop(scene.world, scene.loop), fake_tpm_manager(scene.world)};
  CHECK_FALSE(
      Broker::start(scene.loop, scene.settings, std::move(outside), FdStore::from_environment()));
  scene.start();
  CHECK(scene.world.domains.empty());
}

TEST_CASE("recovery: images come back from the supervisor, measured anew") {
  const Supervisor supervisor;
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  auto stored = supervisor.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored.begin()->first.starts_with("image-"));
  CHECK(supervisor.ready());
  supervisor.give_back(std::move(stored));
  scene.restart();
  Client later(scene);
  later.hello();
  CHECK(later.build("db", "kernel") == 2);
  CHECK(supervisor.removed().empty());
}

TEST_CASE("recovery: stored bytes that nobody holds, or that are not sealed, are dropped") {
  const Supervisor supervisor;
  Scene scene;
  std::map<std::string, UniqueFd> stored;
  for (const char* name : {"image-sealed", "image-open"}) {
    Result<UniqueFd> file = create_memory_file(name);
    REQUIRE(file);
    REQUIRE(write_all(file->value(), as_bytes("kernel"), name));
    if (std::string(name) == "image-sealed")
      REQUIRE(seal(file->value(), name));
    stored.emplace(name, std::move(*file));
  }
  supervisor.give_back(std::move(stored));
  scene.restart();
  CHECK(supervisor.removed() == std::set<std::string>{"image-open", "image-sealed"});
  Client client(scene);
  client.hello();
  CHECK(outcome(client.call(create_request("web", "kernel"))) == "missing");
}

TEST_CASE("recovery: a guest that reboots is built again: same UUID, new serial, policy asked") {
  const Supervisor supervisor;
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  const measure::Uuid uuid = scene.world.domains.at(1).uuid;
  {
    Domain domain = scene.journal().domains.at(1);
    domain.started_unix -= 3600; // long enough ago for a restart
    domain.io_pages = {{.first_page = 0xfed40, .count = 5}};
    auto opened = Journal::open(scene.journal_path());
    REQUIRE(opened);
    REQUIRE(opened->journal.built(domain));
  }
  supervisor.give_back(supervisor.stored());
  scene.restart();
  SUBCASE("the policy still allows it") {
    scene.world.shut_down(1, xen::ShutdownReason::reboot);
    scene.settle();
    REQUIRE(scene.world.domains.size() == 1);
    CHECK(scene.world.domains.contains(2));
    CHECK(scene.world.domains.at(2).uuid == uuid);
    CHECK_FALSE(scene.world.domains.at(2).paused);
    CHECK(scene.world.loaded == std::vector<std::string>{"kernel"});
    REQUIRE(scene.world.plans.back().io_pages.size() == 1);
    CHECK(scene.world.plans.back().io_pages[0].first_page == 0xfed40);
    REQUIRE(scene.journal().domains.size() == 1);
    CHECK(scene.journal().domains.begin()->first == 2);
  }
  SUBCASE("its approval was withdrawn") {
    scene.set_policy(closed_policy());
    scene.broker->reload_policy();
    scene.world.shut_down(1, xen::ShutdownReason::reboot);
    scene.settle();
    CHECK(scene.world.domains.empty());
    CHECK(scene.world.count("construct") == 1);
    CHECK(scene.journal().domains.empty());
  }
}
