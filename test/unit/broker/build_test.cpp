// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/broker/limits.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

ipc::Request cancel_of(std::uint32_t id) {
  ipc::Request request = ashlar_v1_Request_init_zero;
  request.which_verb = ashlar_v1_Request_cancel_tag;
  request.verb.cancel.id = id;
  return request;
}

const measure::Digests digest_of(const std::string& bytes) {
  const auto digests = measure::digest(as_bytes(bytes));
  REQUIRE(digests);
  return *digests;
}

/// Nothing is left of any build: no domain, no intent, no record.
void check_clean(const Scene& scene) {
  CHECK(scene.world.domains.empty());
  const JournalState state = scene.journal();
  CHECK(state.intents.empty());
  CHECK(state.domains.empty());
  CHECK(scene.world.running_jobs == 0);
}

} // namespace

TEST_CASE("build: missing images are named by position, and after their upload it is built") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("initrd one")));
  const ipc::Request request = create_request("web", "kernel", {"initrd one", "initrd two"});
  const ipc::Response missing = client.call(request);
  REQUIRE(outcome(missing) == "missing");
  REQUIRE(missing.part.missing_images.positions_count == 2);
  CHECK(missing.part.missing_images.positions[0] == 0);
  CHECK(missing.part.missing_images.positions[1] == 2);
  CHECK(scene.world.calls.empty());
  CHECK(client.build("web", "kernel", {"initrd one", "initrd two"}) == 1);
  CHECK(scene.world.loaded == std::vector<std::string>{"kernel", "initrd one", "initrd two"});
  REQUIRE(scene.world.plans.size() == 1);
  CHECK(scene.world.plans[0].command_line == "console=hvc0");
  CHECK_FALSE(scene.world.domains.at(1).paused);
}

TEST_CASE("build: the record's events hold the digests of exactly what was loaded, in order") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel", {"initrd one", "initrd two"});
  const JournalState state = scene.journal();
  REQUIRE(state.domains.size() == 1);
  const Domain& domain = state.domains.begin()->second;
  const auto& events = domain.record.events;
  REQUIRE(events.size() == 7);
  const auto welcome = client.parts(1, ashlar_v1_Response_welcome_tag);
  REQUIRE(welcome.size() == 1);
  CHECK(events[0].content == welcome[0].part.welcome.builder);
  CHECK(events[1].content == domain.policy_digest);
  CHECK(events[2].digests == digest_of(measure::canonical_text(domain.configuration)));
  CHECK(events[3].digests == digest_of(scene.world.loaded[0]));
  CHECK(events[4].digests == digest_of(scene.world.plans[0].command_line));
  CHECK(events[5].digests == digest_of(scene.world.loaded[1]));
  CHECK(events[6].digests == digest_of(scene.world.loaded[2]));
  CHECK(domain.record.uuid == scene.world.domains.at(1).uuid);
  CHECK(domain.record.requester == "tester");
}

TEST_CASE("build: a guest is unpaused only after its record is in the journal") {
  Scene scene;
  Client client(scene);
  client.hello();
  std::size_t recorded = 0;
  scene.world.before_unpause = [&](std::uint32_t domid) {
    for (const auto& [serial, domain] : scene.journal().domains)
      recorded += domain.domid() == domid && !domain.record.events.empty() ? 1 : 0;
  };
  client.build("web", "kernel");
  CHECK(recorded == 1);
  CHECK(scene.world.count("unpause") == 1);
}

TEST_CASE("build: a guest whose record cannot be written is never unpaused") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  scene.world.hold_construct = true;
  ipc::Request request = create_request("web", "kernel");
  const std::uint32_t id = client.send(request);
  REQUIRE(scene.until([&] { return scene.world.held.size() == 1; }));
  const WriteLimit no_room(scene.journal_path(), 16);
  scene.world.release();
  CHECK(outcome(client.wait_final(id)) == "io");
  CHECK(scene.world.count("unpause") == 0);
  CHECK(scene.world.domains.empty());
}

TEST_CASE("build: what the policy refuses is neither inspected nor built") {
  Scene scene(closed_policy());
  Client client(scene);
  client.hello();
  const ipc::Response answer = client.call(create_request("web", "kernel"));
  CHECK(outcome(answer) == "refusal");
  CHECK(scene.world.calls.empty());
  CHECK(scene.journal().next_serial == 1);
}

TEST_CASE("build: a dry run asks the policy and builds nothing") {
  Scene scene;
  Client client(scene);
  client.hello();
  ipc::Request request = create_request("web", "kernel");
  request.verb.create.dry_run = true;
  CHECK(done(client.call(request)));
  CHECK(scene.world.calls.empty());
}

TEST_CASE("build: a kernel that the inspector refuses reaches no constructor") {
  Scene scene;
  scene.world.inspect_error = Error{ErrorCode::invalid, "reading", "no ELF", 0};
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  CHECK(outcome(client.call(create_request("web", "kernel"))) == "invalid");
  CHECK(scene.world.count("construct") == 0);
  check_clean(scene);
}

TEST_CASE("build: an inspector or constructor that cannot start fails the build") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  for (const char* step : {"inspect", "construct"}) {
    scene.world.faults[step] = 1;
    CHECK(outcome(client.call(create_request("web", "kernel"))) == "io");
    check_clean(scene);
  }
  CHECK(client.build("web", "kernel") != 0);
}

TEST_CASE("build: a constructor that fails half-way leaves no domain") {
  Scene scene;
  scene.world.construct_error = Error{ErrorCode::io, "building", "no memory", 0};
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  CHECK(outcome(client.call(create_request("web", "kernel"))) == "io");
  CHECK(scene.world.count("destroy 1") == 1);
  CHECK(scene.world.count("remove-nodes 1") == 1);
  check_clean(scene);
}

TEST_CASE("build: what a failed build left and could not be removed is remembered") {
  Scene scene;
  scene.world.construct_error = Error{ErrorCode::io, "building", "no memory", 0};
  scene.world.faults["destroy"] = 1;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  CHECK(outcome(client.call(create_request("web", "kernel"))) == "io");
  CHECK(scene.world.domains.size() == 1);
  CHECK(scene.journal().intents.size() == 1);
  scene.restart();
  check_clean(scene);
}

TEST_CASE("build: a guest that cannot be unpaused is destroyed and its record revoked") {
  Scene scene;
  scene.world.faults["unpause"] = 1;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  CHECK(outcome(client.call(create_request("web", "kernel"))) == "io");
  check_clean(scene);
}

TEST_CASE("build: cancelled while it is inspected or constructed it leaves nothing") {
  for (const bool inspecting : {true, false}) {
    Scene scene;
    scene.world.hold_inspect = inspecting;
    scene.world.hold_construct = !inspecting;
    Client client(scene);
    client.hello();
    REQUIRE(done(client.upload("kernel")));
    const std::uint32_t id = client.send(create_request("web", "kernel"));
    REQUIRE(scene.until([&] { return scene.world.held.size() == 1; }));
    CHECK(done(client.call(cancel_of(id))));
    CHECK(outcome(client.wait_final(id)) == "cancelled");
    check_clean(scene);
    scene.world.release(); // the killed job's end must not be heard
    CHECK(scene.world.count("unpause") == 0);
  }
}

TEST_CASE("build: a client that leaves takes its build with it") {
  Scene scene;
  scene.world.hold_construct = true;
  {
    Client leaver(scene);
    leaver.hello();
    REQUIRE(done(leaver.upload("kernel")));
    leaver.send(create_request("web", "kernel"));
    REQUIRE(scene.until([&] { return scene.world.held.size() == 1; }));
    CHECK(scene.world.domains.size() == 1);
  }
  CHECK(scene.until([&] { return scene.world.domains.empty(); }));
  check_clean(scene);
}

TEST_CASE("build: no more builds run at once than the limit says, and all of them end") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  scene.world.hold_inspect = true;
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 8; ++i)
    ids.push_back(client.send(create_request("web" + std::to_string(i), "kernel")));
  REQUIRE(scene.until([&] { return scene.world.held.size() == max_running_builds; }));
  CHECK(done(client.call(cancel_of(ids[7])))); // still in the queue
  scene.world.hold_inspect = false;
  while (!scene.world.held.empty())
    scene.world.release();
  for (std::size_t i = 0; i < 7; ++i)
    CHECK(done(client.wait_final(ids[i])));
  CHECK(outcome(client.wait_final(ids[7])) == "cancelled");
  CHECK(scene.world.most_running_jobs == max_running_builds);
  CHECK(scene.world.domains.size() == 7);
  CHECK(scene.world.count("construct web7") == 0);
}

TEST_CASE("build: one requester cannot fill the queue") {
  Scene scene;
  scene.world.hold_construct = true;
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < max_queued_builds_per_requester; ++i) {
    if (i % max_requests_per_connection == 0) {
      clients.push_back(std::make_unique<Client>(scene));
      clients.back()->hello();
      if (i == 0)
        REQUIRE(done(clients.back()->upload("kernel")));
    }
    clients.back()->send(create_request(fmt::format("web-{}", i), "kernel"));
  }
  scene.settle();
  Client client(scene);
  client.hello();
  const ipc::Response refused = client.call(create_request("one-more", "kernel"));
  REQUIRE(outcome(refused) == "busy");
  CHECK(std::string(refused.part.failure.message).find("32 of yours wait already") !=
        std::string::npos);
  scene.world.hold_construct = false;
  while (!scene.world.held.empty())
    scene.world.release();
  CHECK(scene.until([&] { return scene.world.count("unpause") == 32; }));
  CHECK(done(client.call(create_request("one-more", "kernel"))));
}

TEST_CASE("build: names of vTPMs' domains are not for guests") {
  Scene scene;
  Client client(scene);
  client.hello();
  const ipc::Response refused = client.call(create_request("vtpm-web", "kernel"));
  REQUIRE(outcome(refused) == "invalid");
  CHECK(std::string(refused.part.failure.message).find("choose another") != std::string::npos);
}

TEST_CASE("build: the name and UUID of a domain or of a build under way are taken") {
  Scene scene;
  Client client(scene);
  client.hello();
  ipc::Request request = create_request("web", "kernel");
  const measure::Uuid uuid{std::byte{7}};
  REQUIRE(ipc::set_bytes(request.verb.create.uuid, uuid));
  REQUIRE(done(client.upload("kernel")));
  scene.world.hold_construct = true;
  const std::uint32_t first = client.send(request);
  REQUIRE(scene.until([&] { return scene.world.held.size() == 1; }));
  for (int i = 0; i < 2; ++i) { // while it is built, and when it exists
    CHECK(outcome(client.call(create_request("web", "kernel"))) == "exists");
    ipc::Request same_uuid = request;
    ipc::set_text(same_uuid.verb.create.name, "db");
    CHECK(outcome(client.call(same_uuid)) == "exists");
    if (i == 0)
      scene.world.release();
  }
  CHECK(done(client.wait_final(first)));
}

TEST_CASE("build: the UUID of a domain that another toolstack built is taken") {
  Scene scene;
  Client client(scene);
  client.hello();
  xen::DomainStatus foreign;
  foreign.domid = 40;
  foreign.uuid = {std::byte{9}};
  scene.world.domains[40] = foreign;
  ipc::Request request = create_request("web", "kernel");
  REQUIRE(ipc::set_bytes(request.verb.create.uuid, foreign.uuid));
  CHECK(outcome(client.call(request)) == "exists");
  CHECK(scene.world.domains.contains(40));
}

TEST_CASE("build: quotas of domains, vCPUs and memory hold, builds under way included") {
  for (const char* quota : {"max_domains = 1", "max_vcpus = 1", "max_memory_mib = 200"}) {
    CAPTURE(quota);
    Scene scene(open_policy(quota));
    Client client(scene);
    client.hello();
    REQUIRE(done(client.upload("kernel")));
    scene.world.hold_construct = true;
    const std::uint32_t first = client.send(create_request("web", "kernel"));
    CHECK(outcome(client.call(create_request("db", "kernel"))) == "limit");
    scene.world.release();
    CHECK(done(client.wait_final(first)));
    CHECK(outcome(client.call(create_request("db", "kernel"))) == "limit");
    REQUIRE(done(client.call(by_domid(ashlar_v1_Request_destroy_tag, 1))));
    scene.world.hold_construct = false;
    CHECK(done(client.call(create_request("db", "kernel"))));
  }
}

TEST_CASE("build: a PV guest's command line that Xen would cut is refused, a PVH guest's is not") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  ipc::Request request = create_request("web", "kernel");
  ipc::set_text(request.verb.create.command_line, std::string(1024, 'a'));
  request.verb.create.type = ashlar_v1_GuestType_GUEST_TYPE_PV;
  CHECK(outcome(client.call(request)) == "limit");
  CHECK(scene.world.calls.empty());
  request.verb.create.type = ashlar_v1_GuestType_GUEST_TYPE_PVH;
  CHECK(done(client.call(request)));
}

TEST_CASE("build: memory that the machine does not have is refused before anything is built") {
  Scene scene;
  scene.world.free_memory_kib = 100 << 10;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  CHECK(outcome(client.call(create_request("web", "kernel"))) == "limit");
  CHECK(scene.world.calls.empty());
}

TEST_CASE(
    "XSM label: a rule that says nothing of labels lets none through, and one that does keeps it") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  ipc::Request request = create_request("web", "kernel");
  ipc::set_text(request.verb.create.xsm_label, "system_u:system_r:domU_t");
  const ipc::Response refused = client.call(request);
  REQUIRE(refused.which_part == ashlar_v1_Response_refusal_tag);
  CHECK(std::string(refused.part.refusal.reason).find("XSM label") != std::string::npos);
  CHECK(scene.world.plans.empty());
  std::string policy = open_policy();
  policy.insert(policy.find("kernels = "), "xsm_labels = [\"system_u:*\"]\n");
  scene.set_policy(policy);
  scene.broker->reload_policy();
  REQUIRE(done(client.call(request)));
  CHECK(scene.world.plans.at(0).configuration.xsm_label == "system_u:system_r:domU_t");
  CHECK(scene.journal().domains.begin()->second.configuration.xsm_label ==
        "system_u:system_r:domU_t");
  ipc::set_text(request.verb.create.xsm_label, "two words");
  CHECK(outcome(client.call(request)) == "invalid");
}

TEST_CASE("XSM label: a Xen without XSM fails the build, and the answer says what to do") {
  std::string policy = open_policy();
  policy.insert(policy.find("kernels = "), "xsm_labels = \"any\"\n");
  Scene scene(policy);
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  scene.world.construct_error = Error{
      ErrorCode::unsupported, "giving the domain the XSM label \"a\"", "this Xen has no XSM", 38};
  ipc::Request request = create_request("web", "kernel");
  ipc::set_text(request.verb.create.xsm_label, "a");
  const ipc::Response answer = client.call(request);
  CHECK(outcome(answer) == "unsupported");
  CHECK(std::string(answer.part.failure.message).find("this Xen has no XSM") != std::string::npos);
  CHECK(scene.journal().domains.empty());
}
