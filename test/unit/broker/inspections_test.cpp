// SPDX-License-Identifier: LGPL-2.1-or-later
// Kernels that are inspected before a build asks for them.
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/broker/limits.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

constexpr std::uint64_t store_bytes = 64u << 20;

/// The tester may upload anything, and build guests of this kernel alone.
std::string policy_for(const std::string& kernel) {
  const auto digests = measure::digest(as_bytes(kernel));
  REQUIRE(digests);
  return closed_policy() + "[[image]]\nname = \"known\"\nkind = \"kernel\"\nsha256 = \"" +
         to_hex(digests->sha256) +
         "\"\n[[rule]]\nname = \"uploads\"\neffect = \"allow\"\nrequesters = \"any\"\n"
         "verbs = [\"upload\"]\n[rule.upload]\nimages = \"any\"\n"
         "[[rule]]\nname = \"guests\"\neffect = \"allow\"\nrequesters = \"any\"\n"
         "verbs = [\"create\"]\n[rule.guest]\nkernels = [\"known\"]\ninitrds = \"any\"\n"
         "command_lines = \"any\"\n";
}

} // namespace

TEST_CASE("inspections: an approved kernel is inspected when it comes, and once") {
  Scene scene(policy_for("kernel"), store_bytes, true);
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  REQUIRE(scene.until([&] { return scene.world.running_jobs == 0; }));
  CHECK(scene.world.count("inspect") == 1);
  CHECK(client.build("web", "kernel") == 1);
  CHECK(client.build("db", "kernel") == 2);
  CHECK(scene.world.count("inspect") == 1);
}

TEST_CASE("inspections: what no rule approves is not looked at, nor with the setting off") {
  for (const bool ahead : {true, false}) {
    Scene scene(policy_for(ahead ? "another kernel" : "kernel"), store_bytes, ahead);
    Client client(scene);
    client.hello();
    REQUIRE(done(client.upload("kernel")));
    scene.settle();
    CHECK(scene.world.count("inspect") == 0);
  }
}

TEST_CASE("inspections: a build waits for the one that is under way") {
  Scene scene(policy_for("kernel"), store_bytes, true);
  scene.world.hold_inspect = true;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  const std::uint32_t id = client.send(create_request("web", "kernel"));
  scene.settle();
  CHECK(scene.world.domains.empty());
  CHECK(scene.world.count("inspect") == 1);
  scene.world.release();
  CHECK(done(client.wait_final(id)));
  CHECK(scene.world.count("inspect") == 1);
  CHECK(scene.world.running_jobs == 0);
}

TEST_CASE("inspections: a build that waited and left hears nothing, and the kernel is ready") {
  Scene scene(policy_for("kernel"), store_bytes, true);
  scene.world.hold_inspect = true;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  {
    Client leaver(scene);
    leaver.hello();
    leaver.send(create_request("web", "kernel"));
    scene.settle();
  }
  scene.settle();
  scene.world.release();
  scene.settle();
  CHECK(scene.world.domains.empty());
  CHECK(client.build("web", "kernel") == 1);
  CHECK(scene.world.count("inspect") == 1);
}

TEST_CASE("inspections: a kernel that is refused ahead is refused to its build") {
  Scene scene(policy_for("kernel"), store_bytes, true);
  scene.world.inspect_error = Error{ErrorCode::invalid, "inspecting", "no kernel", 0};
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  REQUIRE(scene.until([&] { return scene.world.running_jobs == 0; }));
  REQUIRE(done(client.upload("kernel"))); // once more: it is not tried again
  scene.settle();
  CHECK(scene.world.count("inspect") == 1);
  CHECK(outcome(client.call(create_request("web", "kernel"))) == "invalid");
  CHECK(scene.world.count("inspect") == 2); // the build's own says why
  CHECK(scene.world.running_jobs == 0);
}

TEST_CASE("inspections: one that nobody waits for gives way to a build") {
  Scene scene(open_policy(), store_bytes, true);
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  scene.settle();
  scene.world.hold_inspect = true;
  REQUIRE(done(client.upload("another kernel"))); // inspected ahead, and not done yet
  REQUIRE(done(client.upload("a third kernel"))); // has no turn
  CHECK(scene.world.running_jobs == 1);
  const std::uint32_t id = client.send(create_request("web", "a third kernel"));
  scene.settle();
  CHECK(scene.world.running_jobs == 1);
  CHECK(scene.world.count("inspect") == 3);
  scene.world.release(); // of the one that was given up: nobody hears it
  scene.world.release();
  CHECK(done(client.wait_final(id)));
  CHECK(scene.world.running_jobs == 0);
}

TEST_CASE("inspections: the builder ends while one is under way") {
  Scene scene(policy_for("kernel"), store_bytes, true);
  scene.world.hold_inspect = true;
  {
    Client client(scene);
    client.hello();
    REQUIRE(done(client.upload("kernel")));
  }
  scene.broker.reset();
  CHECK(scene.world.running_jobs == 0);
  scene.world.release(); // must not be heard
}

TEST_CASE("inspections: none is begun while a build is under way") {
  Scene scene(open_policy(), store_bytes, true);
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  scene.settle();
  scene.world.hold_construct = true;
  const std::uint32_t id = client.send(create_request("web", "kernel"));
  REQUIRE(scene.until([&] { return scene.world.held.size() == 1; }));
  REQUIRE(done(client.upload("another kernel")));
  scene.settle();
  CHECK(scene.world.count("inspect") == 1);
  scene.world.release();
  CHECK(done(client.wait_final(id)));
}
