// SPDX-License-Identifier: LGPL-2.1-or-later
// Records and the TPM Manager: nothing runs before its record is acknowledged.
#include <doctest/doctest.h>

#include <algorithm>

#include "ashlar/broker/settings.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

/// A builder with a TPM Manager, and a requester that has uploaded what it needs.
struct Managed : Scene {
  Client client{*this};
  Managed() {
    world.tpm_manager = true;
    client.hello();
    REQUIRE(done(client.upload("kernel")));
  }
};

/// The position of a call in the order of calls; the number of calls when it never came.
std::ptrdiff_t position(const World& world, const std::string& call) {
  return std::ranges::find(world.calls, call) - world.calls.begin();
}

BootDomain boot_domain(const Scene& scene, const std::string& name) {
  BootDomain wanted;
  wanted.configuration.name = name;
  wanted.configuration.memory_kib = 128 << 10;
  wanted.configuration.max_memory_kib = 128 << 10;
  wanted.kernel = scene.directory.path() + "/vmlinuz";
  wanted.essential = true;
  write_file(wanted.kernel, "boot kernel");
  return wanted;
}

std::vector<BootDomain> boot_manifest(const Scene& scene) {
  BootDomain manager = boot_domain(scene, "tpm-manager");
  manager.tpm_manager = true;
  manager.io_pages = {{.first_page = 0xfed40, .count = 5}};
  // The others are written before it: the order of starts is not that of the file.
  return {boot_domain(scene, "toolstack"), manager};
}

} // namespace

TEST_CASE("tpm manager: a guest is not unpaused before its record is acknowledged") {
  Managed scene;
  scene.world.hold_tpm_manager = true;
  const std::uint32_t id = scene.client.send(create_request("web", "kernel"));
  REQUIRE(scene.until([&] { return !scene.world.tpm_answers.empty(); }));
  scene.settle();
  CHECK(scene.world.count("tpm-put 1") == 1);
  CHECK(scene.world.count("unpause") == 0);
  CHECK_FALSE(scene.client.has_final(id));
  scene.world.release_tpm_manager();
  CHECK(done(scene.client.wait_final(id)));
  CHECK(scene.world.count("unpause 1") == 1);
}

TEST_CASE("tpm manager: nobody unpauses a domain whose record is not acknowledged") {
  Managed scene;
  scene.world.hold_tpm_manager = true;
  const std::uint32_t id = scene.client.send(create_request("web", "kernel"));
  REQUIRE(scene.until([&] { return !scene.world.tpm_answers.empty(); }));
  Client other(scene);
  other.hello();
  CHECK(outcome(other.call(by_domid(ashlar_v1_Request_unpause_tag, 1))) == "denied");
  CHECK(scene.world.count("unpause") == 0);
  scene.world.release_tpm_manager();
  CHECK(done(scene.client.wait_final(id)));
}

TEST_CASE("tpm manager: without an acknowledgement the guest is destroyed and its record revoked") {
  Managed scene;
  scene.world.faults["tpm-put"] = 1;
  const ipc::Response answer = scene.client.call(create_request("web", "kernel"));
  CHECK(outcome(answer) == "timeout");
  CHECK(scene.world.domains.empty());
  CHECK(scene.world.count("unpause") == 0);
  CHECK(scene.world.count("tpm-revoke 1") == 1);
  CHECK(scene.journal().domains.empty());
  CHECK(scene.journal().intents.empty());
}

TEST_CASE("tpm manager: a guest that is destroyed while its record is on the way never runs") {
  Managed scene;
  scene.world.hold_tpm_manager = true;
  const std::uint32_t id = scene.client.send(create_request("web", "kernel"));
  REQUIRE(scene.until([&] { return !scene.world.tpm_answers.empty(); }));
  Client other(scene);
  other.hello();
  CHECK(done(other.call(by_domid(ashlar_v1_Request_destroy_tag, 1))));
  scene.world.release_tpm_manager();
  CHECK(outcome(scene.client.wait_final(id)) == "cancelled");
  CHECK(scene.world.count("unpause") == 0);
}

TEST_CASE("tpm manager: a record is revoked there before its domain is destroyed") {
  Managed scene;
  scene.client.build("web", "kernel");
  CHECK(done(scene.client.call(by_domid(ashlar_v1_Request_destroy_tag, 1))));
  REQUIRE(scene.world.count("tpm-revoke 1") == 1);
  CHECK(position(scene.world, "tpm-revoke 1") < position(scene.world, "destroy 1"));
}

TEST_CASE("tpm manager: a revocation that it has not heard of survives a restart of the builder") {
  Managed scene;
  scene.client.build("web", "kernel");
  scene.world.hold_tpm_manager = true;
  CHECK(done(scene.client.call(by_domid(ashlar_v1_Request_destroy_tag, 1))));
  CHECK(scene.journal().intents.contains(1));
  scene.world.calls.clear();
  scene.world.hold_tpm_manager = false;
  scene.restart();
  CHECK(scene.world.count("tpm-revoke 1") == 1);
  CHECK(scene.journal().intents.empty());
}

TEST_CASE("tpm manager: a restarted builder gives every record again, and starts what was not "
          "acknowledged") {
  Managed scene;
  scene.client.build("web", "kernel");
  scene.world.hold_tpm_manager = true;
  static_cast<void>(scene.client.send(create_request("db", "kernel")));
  REQUIRE(scene.until([&] { return !scene.world.tpm_answers.empty(); }));
  scene.world.calls.clear();
  scene.restart();
  CHECK(scene.world.count("tpm-put 1") == 1);
  CHECK(scene.world.count("tpm-put 2") == 1);
  CHECK(scene.world.count("unpause") == 0);
  while (!scene.world.tpm_answers.empty())
    scene.world.release_tpm_manager();
  CHECK(scene.world.count("unpause 1") == 0);
  CHECK(scene.world.count("unpause 2") == 1);
}

TEST_CASE("tpm manager: a restarted builder destroys a domain whose record is not taken") {
  Managed scene;
  scene.world.hold_tpm_manager = true;
  static_cast<void>(scene.client.send(create_request("web", "kernel")));
  REQUIRE(scene.until([&] { return !scene.world.tpm_answers.empty(); }));
  scene.world.hold_tpm_manager = false;
  scene.world.faults["tpm-put"] = 1;
  scene.restart();
  CHECK(scene.world.domains.empty());
  CHECK(scene.world.count("unpause") == 0);
}

TEST_CASE(
    "tpm manager: its domain runs first, with its device, and the others follow its own record") {
  Scene scene;
  scene.world.tpm_manager = true;
  scene.world.hold_tpm_manager = true;
  scene.broker->boot(boot_manifest(scene));
  REQUIRE(scene.until([&] { return !scene.world.tpm_answers.empty(); }));
  scene.settle();
  REQUIRE(scene.world.plans.size() == 1);
  CHECK(scene.world.plans[0].configuration.name == "tpm-manager");
  REQUIRE(scene.world.plans[0].io_pages.size() == 1);
  CHECK(scene.world.plans[0].io_pages[0].first_page == 0xfed40);
  CHECK(position(scene.world, "unpause 1") < position(scene.world, "tpm-runs-in 1"));
  CHECK(position(scene.world, "tpm-runs-in 1") < position(scene.world, "tpm-put 1"));
  scene.world.release_tpm_manager();
  REQUIRE(scene.until([&] { return scene.world.count("tpm-put 2") == 1; }));
  CHECK(scene.world.plans.back().configuration.name == "toolstack");
  CHECK(scene.world.plans.back().io_pages.empty());
  CHECK(scene.world.count("unpause 2") == 0);
  scene.world.release_tpm_manager();
  CHECK(scene.world.count("unpause 2") == 1);
}

TEST_CASE("tpm manager: one that refuses its own record stops the builder") {
  Scene scene;
  scene.world.tpm_manager = true;
  scene.world.faults["tpm-put-refused"] = 1;
  scene.broker->boot(boot_manifest(scene));
  REQUIRE(scene.until([&] { return scene.loop.stopping(); }));
  CHECK(scene.world.plans.size() == 1);
}

TEST_CASE("tpm manager: one that is slow to start is asked again") {
  Scene scene;
  scene.world.tpm_manager = true;
  scene.world.faults["tpm-put"] = 1;
  scene.broker->boot(boot_manifest(scene));
  REQUIRE(scene.until([&] { return scene.world.count("tpm-put 2") == 1; }));
  CHECK(scene.world.count("tpm-put 1") == 2);
  CHECK_FALSE(scene.loop.stopping());
}

TEST_CASE("tpm manager: after a restart of the builder it is found again, and not started anew") {
  Scene scene;
  scene.world.tpm_manager = true;
  scene.broker->boot(boot_manifest(scene));
  REQUIRE(scene.until([&] { return scene.world.count("unpause 2") == 1; }));
  scene.world.calls.clear();
  scene.restart();
  scene.broker->boot(boot_manifest(scene));
  scene.settle();
  CHECK(scene.world.count("tpm-runs-in 1") == 1);
  CHECK(scene.world.count("construct") == 0);
  CHECK(scene.world.count("unpause") == 0);
  CHECK(scene.world.count("tpm-put") == 2);
}

TEST_CASE("tpm manager: who may ask for the host gets its keys when it asks for them") {
  Managed scene;
  scene.world.identity.attestation_key = std::vector<std::byte>(3, std::byte{1});
  scene.world.identity.pcrs = {{0, {}}, {13, {}}};
  ipc::Request request = ashlar_v1_Request_init_zero;
  request.which_verb = ashlar_v1_Request_host_tag;
  const std::uint32_t without = scene.client.send(request);
  REQUIRE(done(scene.client.wait_final(without)));
  CHECK(scene.client.parts(without, ashlar_v1_Response_host_state_tag).size() == 1);
  CHECK(scene.client.parts(without, ashlar_v1_Response_host_keys_tag).empty());
  request.verb.host.keys = true;
  const std::uint32_t with = scene.client.send(request);
  REQUIRE(done(scene.client.wait_final(with)));
  CHECK(scene.client.parts(with, ashlar_v1_Response_host_state_tag).size() == 1);
  const auto keys = scene.client.parts(with, ashlar_v1_Response_host_keys_tag);
  REQUIRE(keys.size() == 1);
  CHECK(keys[0].part.host_keys.attestation_key.size == 3);
  CHECK(keys[0].part.host_keys.endorsement_certificate.size == 0);
  REQUIRE(keys[0].part.host_keys.pcrs_count == 2);
  CHECK(keys[0].part.host_keys.pcrs[1].pcr == 13);
  // Each ends the asking: another may follow on the same connection.
  scene.world.faults["tpm-identify"] = 1;
  CHECK(outcome(scene.client.call(request)) == "io");
  scene.world.identity.endorsement_key.resize(1025);
  CHECK(outcome(scene.client.call(request)) == "limit");
  scene.world.identity.endorsement_key.clear();
  CHECK(done(scene.client.call(request)));
}
