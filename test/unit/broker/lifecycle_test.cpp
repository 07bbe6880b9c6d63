// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "ashlar/broker/limits.hpp"
#include "ashlar/broker/settings.hpp"
#include "scene.hpp"
#include "supervisor.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

/// A running domain that has been up for a long time: the journal of a restarted builder says so.
struct OldDomain : Scene {
  Client client{*this};
  explicit OldDomain(bool essential = false) {
    client.hello();
    client.build("web", "kernel");
    age(essential);
  }

  void age(bool essential) {
    JournalState state = journal();
    REQUIRE(state.domains.size() == 1);
    Domain domain = state.domains.begin()->second;
    domain.started_unix -= 3600;
    domain.essential = essential;
    auto opened = Journal::open(journal_path());
    REQUIRE(opened);
    REQUIRE(opened->journal.built(domain));
  }
};

BootDomain boot_domain(const Scene& scene) {
  BootDomain wanted;
  wanted.configuration.name = "toolstack";
  wanted.configuration.memory_kib = 128 << 10;
  wanted.configuration.max_memory_kib = 128 << 10;
  wanted.kernel = scene.directory.path() + "/vmlinuz";
  wanted.essential = true;
  write_file(wanted.kernel, "boot kernel");
  return wanted;
}

} // namespace

TEST_CASE("lifecycle: a record is revoked before its domain is destroyed") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  std::size_t records = 1;
  scene.world.before_destroy = [&](std::uint32_t) { records = scene.journal().domains.size(); };
  CHECK(done(client.call(by_domid(ashlar_v1_Request_destroy_tag, 1))));
  CHECK(records == 0);
  CHECK(scene.world.count("destroy 1") == 1);
  CHECK(scene.journal().intents.empty());
}

TEST_CASE("lifecycle: a domain whose destruction fails stays listed and can be destroyed again") {
  for (const char* step : {"destroy", "remove-nodes"}) {
    CAPTURE(step);
    Scene scene;
    Client client(scene);
    client.hello();
    client.build("web", "kernel");
    scene.world.faults[step] = 1;
    CHECK(outcome(client.call(by_domid(ashlar_v1_Request_destroy_tag, 1))) == "io");
    CHECK(outcome(client.call(by_domid(ashlar_v1_Request_info_tag, 1))) == "done");
    CHECK(done(client.call(by_domid(ashlar_v1_Request_destroy_tag, 1))));
    CHECK(outcome(client.call(by_domid(ashlar_v1_Request_info_tag, 1))) == "not_found");
    CHECK(scene.world.domains.empty());
  }
}

TEST_CASE("lifecycle: a domain that somebody else destroyed loses its record") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  scene.world.vanish(1);
  scene.settle();
  CHECK(scene.journal().domains.empty());
  CHECK(outcome(client.call(by_domid(ashlar_v1_Request_info_tag, 1))) == "not_found");
}

TEST_CASE("lifecycle: a domid given anew before its owner's end is known has one record") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  scene.world.domains.erase(1);
  scene.world.next_domid = 1;
  client.build("db", "kernel");
  const JournalState state = scene.journal();
  REQUIRE(state.domains.size() == 1);
  CHECK(state.domains.begin()->second.name() == "db");
  CHECK(state.domains.begin()->first == 2);
}

TEST_CASE("lifecycle: a power-off destroys and revokes, a crash as configured preserves") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  ipc::Request request = create_request("web", "kernel");
  request.verb.create.on_crash = ashlar_v1_StopAction_STOP_ACTION_PRESERVE;
  REQUIRE(done(client.call(request)));
  client.build("db", "kernel");
  scene.world.shut_down(1, xen::ShutdownReason::crash);
  scene.world.shut_down(2, xen::ShutdownReason::poweroff);
  scene.settle();
  CHECK(scene.world.domains.contains(1));
  CHECK_FALSE(scene.world.domains.contains(2));
  REQUIRE(scene.journal().domains.size() == 1);
  CHECK(scene.journal().domains.begin()->second.name() == "web");
  const ipc::Response info = client.call(by_domid(ashlar_v1_Request_info_tag, 1));
  CHECK(client.parts(info.id, ashlar_v1_Response_domain_tag)[0].part.domain.state ==
        ashlar_v1_DomainState_DOMAIN_STATE_CRASHED);
}

TEST_CASE("lifecycle: a guest that reboots after its images were lost ends") {
  OldDomain scene;
  scene.restart(); // without a supervisor that keeps them
  scene.world.shut_down(1, xen::ShutdownReason::reboot);
  scene.settle();
  CHECK(scene.world.domains.empty());
  CHECK(scene.world.count("construct") == 1);
  CHECK_FALSE(scene.loop.stopping());
}

TEST_CASE("lifecycle: the builder stops when an essential guest cannot be restarted") {
  OldDomain scene(true);
  scene.restart();
  scene.world.shut_down(1, xen::ShutdownReason::reboot);
  CHECK(scene.until([&] { return scene.loop.stopping(); }));
}

TEST_CASE("lifecycle: a guest that asks for a restart at once is destroyed: it would only loop") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  scene.world.shut_down(1, xen::ShutdownReason::reboot);
  scene.settle();
  CHECK(scene.world.domains.empty());
  CHECK(scene.world.count("construct") == 1);
  CHECK(scene.journal().domains.empty());
}

TEST_CASE("lifecycle: a guest may reboot although the machine's clock was set back meanwhile") {
  const Supervisor supervisor;
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  {
    Domain domain = scene.journal().domains.at(1);
    domain.started_unix += 3600; // what the clock said then
    auto opened = Journal::open(scene.journal_path());
    REQUIRE(opened);
    REQUIRE(opened->journal.built(domain));
  }
  supervisor.give_back(supervisor.stored());
  scene.restart();
  scene.world.shut_down(1, xen::ShutdownReason::reboot);
  scene.settle();
  CHECK(scene.world.domains.contains(2));
  CHECK(scene.world.count("construct") == 2);
}

TEST_CASE("lifecycle: a stopped domain that could not be ended is tried again by itself") {
  for (const char* step : {"destroy", "remove-nodes", "domain"}) {
    CAPTURE(step);
    Scene scene;
    Client client(scene);
    client.hello();
    client.build("web", "kernel");
    const CapturedLog captured;
    scene.world.faults[step] = 2;
    scene.world.shut_down(1, xen::ShutdownReason::poweroff);
    scene.settle();
    CHECK(scene.broker);
    CHECK(scene.world.faults[step] == 1);
    const auto over = std::chrono::steady_clock::now() + 4 * end_retry_pause;
    while (!scene.journal().intents.empty() || !scene.journal().domains.empty()) {
      REQUIRE(std::chrono::steady_clock::now() < over);
      scene.turn();
    }
    CHECK(scene.world.domains.empty());
    CHECK(captured.count("this is tried again") == 1);
  }
}

TEST_CASE("lifecycle: a hypervisor that cannot be asked ends no domain") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  scene.world.faults["domain"] = 1;
  scene.world.fire("@releaseDomain");
  scene.settle();
  CHECK(scene.world.domains.size() == 1);
  CHECK(scene.journal().domains.size() == 1);
}

TEST_CASE("lifecycle: pause, unpause and shutdown reach the domain they name") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  CHECK(done(client.call(by_domid(ashlar_v1_Request_pause_tag, 1))));
  CHECK(scene.world.domains.at(1).paused);
  CHECK(done(client.call(by_domid(ashlar_v1_Request_unpause_tag, 1))));
  CHECK_FALSE(scene.world.domains.at(1).paused);
  CHECK(done(client.call(by_domid(ashlar_v1_Request_shutdown_tag, 1))));
  CHECK(scene.world.nodes["/local/domain/1/control/shutdown"] == "poweroff");
  CHECK(done(client.call(by_domid(ashlar_v1_Request_reboot_tag, 1))));
  CHECK(scene.world.nodes["/local/domain/1/control/shutdown"] == "reboot");
}

TEST_CASE("lifecycle: who pauses a domain twice unpauses it once, and twice does no harm") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  for (int i = 0; i < 2; ++i)
    CHECK(done(client.call(by_domid(ashlar_v1_Request_pause_tag, 1))));
  CHECK(scene.world.domains.at(1).paused);
  for (int i = 0; i < 2; ++i) {
    CHECK(done(client.call(by_domid(ashlar_v1_Request_unpause_tag, 1))));
    CHECK_FALSE(scene.world.domains.at(1).paused);
  }
}

TEST_CASE("lifecycle: a domid that is another domain's now is neither paused nor unpaused") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  scene.world.domains.at(1).uuid = {std::byte{0xaa}};
  CHECK(outcome(client.call(by_domid(ashlar_v1_Request_pause_tag, 1))) == "not_found");
  scene.world.domains.at(1).paused = true;
  CHECK(outcome(client.call(by_domid(ashlar_v1_Request_unpause_tag, 1))) == "not_found");
  CHECK(scene.world.domains.at(1).paused);
}

TEST_CASE("lifecycle: the boot manifest's domains are measured, approved and built") {
  Scene scene;
  scene.broker->boot({boot_domain(scene)});
  CHECK(scene.until([&] { return scene.world.count("unpause") == 1; }));
  const JournalState journal = scene.journal();
  REQUIRE(journal.domains.size() == 1);
  CHECK(journal.domains.begin()->second.record.requester == "boot");
  CHECK(scene.world.loaded == std::vector<std::string>{"boot kernel"});
  scene.broker->boot({boot_domain(scene)});
  scene.settle();
  CHECK(scene.world.domains.size() == 1);
}

TEST_CASE("lifecycle: the nodes of a killed builder's vchans are removed by its successor") {
  Scene scene;
  BootDomain toolstack = boot_domain(scene);
  toolstack.requester = true;
  scene.broker->boot({toolstack});
  REQUIRE(scene.until([&] { return scene.world.count("unpause") == 1; }));
  const std::string ring = "/local/domain/0/data/ashlar/1/0123abcd/ring-ref";
  scene.world.nodes[ring] = "8";
  scene.restart();
  CHECK_FALSE(scene.world.nodes.contains(ring));
}

TEST_CASE(
    "lifecycle: a change of one connection's request costs one look, however many there are") {
  Scene scene;
  BootDomain toolstack = boot_domain(scene);
  toolstack.requester = true;
  scene.broker->boot({toolstack});
  REQUIRE(scene.until([&] { return scene.world.count("unpause") == 1; }));
  const std::string requests = "/local/domain/1/data/ashlar";
  for (int i = 0; i < 900; ++i)
    scene.world.nodes[fmt::format("{}/{:08x}", requests, i)] = "ready";
  scene.world.fire(requests); // comes with the watch: a new builder reads what it finds
  scene.settle();
  CHECK(scene.world.store_reads >= 900);

  const std::size_t before = scene.world.store_reads;
  for (const auto* changed : {"", "/no-token", "/00000001/deeper", "elsewhere"})
    scene.world.fire(requests + changed);
  scene.settle();
  CHECK(scene.world.store_reads == before);
  scene.world.fire(requests + "/00000001");
  scene.settle();
  CHECK(scene.world.store_reads == before + 1);
}

TEST_CASE("lifecycle: the builder stops when an essential domain has ended") {
  Scene scene;
  scene.broker->boot({boot_domain(scene)});
  REQUIRE(scene.until([&] { return scene.world.count("unpause") == 1; }));
  CHECK_FALSE(scene.loop.stopping());
  scene.world.shut_down(1, xen::ShutdownReason::poweroff);
  CHECK(scene.until([&] { return scene.loop.stopping(); }));
  const auto status = scene.loop.run();
  REQUIRE(status);
  CHECK(*status == essential_domain_ended);
}

TEST_CASE("lifecycle: the builder stops when an essential domain cannot be built") {
  SUBCASE("the policy refuses it") {
    Scene scene(closed_policy());
    scene.broker->boot({boot_domain(scene)});
    CHECK(scene.loop.stopping());
    CHECK(scene.world.calls.empty());
  }
  SUBCASE("its kernel is refused") {
    Scene scene;
    scene.world.inspect_error = Error{ErrorCode::invalid, "reading", "no ELF", 0};
    scene.broker->boot({boot_domain(scene)});
    CHECK(scene.until([&] { return scene.loop.stopping(); }));
  }
}
