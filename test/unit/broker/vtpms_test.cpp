// SPDX-License-Identifier: LGPL-2.1-or-later
// A guest with a vTPM: it runs after its vTPM has reported, or not at all.
#include <doctest/doctest.h>

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/broker/limits.hpp"
#include "ashlar/broker/settings.hpp"
#include "ashlar/broker/upload.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

constexpr std::uint32_t guest = 1; // the first domid that is given; its vTPM has the second
constexpr std::uint32_t vtpm = 2;

/// open_policy(), and guests may have vTPMs.
std::string vtpm_policy() {
  return open_policy() + "  vtpm = \"allowed\"\n";
}

std::string report_path(std::uint32_t domid) {
  return fmt::format("/local/domain/{}/data/vtpm-state", domid);
}

/// A builder with a TPM Manager's domain and images for vTPMs, and a requester with a kernel.
struct WithVtpms : Scene {
  std::unique_ptr<Client> client;

  WithVtpms() : Scene(vtpm_policy()) {
    world.tpm_manager = true;
    settings.vtpm = VtpmImages{.kernel = directory.path() + "/service-vmlinuz",
                               .initrd = directory.path() + "/vtpm-initrd",
                               .command_line = "quiet"};
    write_file(settings.vtpm->kernel, "service kernel");
    write_file(settings.vtpm->initrd, "vtpm initrd");
    // Domids are those of the guests: the manager's own, and the store's, come from further up.
    world.next_domid = 100;
    restart();
    broker->boot({boot_domain("tpm-manager"), boot_domain("toolstack")});
    REQUIRE(until([&] { return world.count("unpause 101") == 1; }));
    world.next_domid = guest;
    world.calls.clear();
    world.plans.clear();
    client = std::make_unique<Client>(*this);
    client->hello();
    REQUIRE(done(client->upload("kernel")));
  }

  BootDomain boot_domain(const std::string& name) const {
    BootDomain wanted;
    wanted.configuration.name = name;
    wanted.configuration.memory_kib = 128 << 10;
    wanted.configuration.max_memory_kib = 128 << 10;
    wanted.kernel = directory.path() + "/service-vmlinuz";
    wanted.essential = true;
    wanted.tpm_manager = name == "tpm-manager";
    wanted.vtpm_state_store = name == "toolstack";
    return wanted;
  }

  void report(const std::string& text, std::uint32_t domid = vtpm) {
    world.nodes[report_path(domid)] = text;
    world.fire(report_path(domid));
  }

  /// Asks for a guest, and waits until its vTPM runs.
  std::uint32_t begin(const std::string& uuid = {}) {
    ipc::Request request = create_request("web", "kernel");
    request.verb.create.vtpm = ashlar_v1_VtpmVersion_VTPM_VERSION_2_0;
    if (!uuid.empty()) {
      request.verb.create.uuid.size = static_cast<pb_size_t>(uuid.size());
      std::ranges::copy(uuid, request.verb.create.uuid.bytes);
    }
    const std::uint32_t id = client->send(request);
    REQUIRE(until([&] { return world.count(fmt::format("unpause {}", vtpm)) == 1; }));
    return id;
  }

  /// Neither guest nor vTPM is left, nor a record of them, and the guest never ran.
  void check_nothing_ran() {
    CHECK(world.count(fmt::format("unpause {}", guest)) == 0);
    CHECK_FALSE(world.domains.contains(guest));
    CHECK(until([&] { return !world.domains.contains(vtpm); }));
    CHECK(journal().domains.size() == 2); // the boot manifest's
    CHECK(journal().intents.empty());
    CHECK(world.count("tpm-revoke") == 2);
  }
};

} // namespace

TEST_CASE("vtpms: a kernel's file is taken in once, and again when it has changed") {
  const auto kernel_of = [](const JournalState& journal, std::uint32_t domid) {
    const auto found = std::ranges::find_if(
        journal.domains, [&](const auto& entry) { return entry.second.domid() == domid; });
    REQUIRE(found != journal.domains.end());
    return found->second.kernel.digests;
  };
  WithVtpms scene;
  const auto booted = kernel_of(scene.journal(), 100);
  CHECK(kernel_of(scene.journal(), 101) == booted); // the manager's domain and the toolstack's
  const std::string file = scene.settings.vtpm->kernel;
  SUBCASE("it has not") {
    CHECK(open_file(file)->version == open_file(file)->version);
    scene.begin();
    CHECK(kernel_of(scene.journal(), vtpm) == booted);
  }
  SUBCASE("it has, and is as long as before") {
    const FileVersion before = open_file(file)->version;
    write_file(file, "service KERNEL");
    CHECK(open_file(file)->version != before);
    scene.begin();
    CHECK(kernel_of(scene.journal(), vtpm) ==
          *measure::digest(std::as_bytes(std::span("service KERNEL", 14))));
  }
}

TEST_CASE("vtpms: a guest runs after its vTPM has reported, and not before") {
  WithVtpms scene;
  const std::uint32_t id = scene.begin();
  scene.settle();
  CHECK_FALSE(scene.client->has_final(id));
  CHECK(scene.world.count("unpause 1") == 0);
  scene.report("extended");
  CHECK(done(scene.client->wait_final(id)));
  CHECK(scene.world.count("unpause 1") == 1);
  REQUIRE(scene.world.bindings.size() == 1);
  const tpm::Binding& binding = scene.world.bindings[0];
  CHECK(binding.version == measure::Vtpm::tpm20);
  CHECK(scene.journal().domains.at(binding.guest_serial).domid() == guest);
  CHECK(scene.journal().domains.at(binding.vtpm_serial).domid() == vtpm);
}

TEST_CASE("vtpms: the vTPM is built from the builder's own images, recorded, and bound before it "
          "runs") {
  WithVtpms scene;
  const std::uint32_t id = scene.begin();
  CHECK(scene.world.loaded == std::vector<std::string>{"service kernel", "vtpm initrd"});
  const auto& calls = scene.world.calls;
  const auto at = [&calls](const std::string& start) {
    return std::ranges::find_if(calls,
                                [&](const std::string& call) { return call.starts_with(start); });
  };
  CHECK(at("tpm-bind") < at("unpause 2"));
  CHECK(scene.world.count("tpm-put") == 2);
  CHECK(scene.world.nodes.at("/local/domain/2/device/vtpm/0/backend") ==
        "/local/domain/100/backend/vtpm/2/0");
  CHECK(scene.world.nodes.at("/local/domain/1/device/vtpm/0/backend") ==
        "/local/domain/2/backend/vtpm/1/0");
  CHECK(scene.world.nodes.at("/local/domain/1/device/vtpm/0/version") == "2.0");
  scene.report("extended");
  CHECK(done(scene.client->wait_final(id)));
}

TEST_CASE("vtpms: a state is kept for a guest whose request gave its UUID, and for no other") {
  const std::string device = "/local/domain/2/device/vtpm-state/0/backend";
  WithVtpms other;
  static_cast<void>(other.begin());
  CHECK_FALSE(other.world.nodes.contains(device));
  WithVtpms scene;
  static_cast<void>(scene.begin("0123456789abcdef"));
  REQUIRE(scene.world.nodes.contains(device));
  CHECK(scene.world.nodes.at(device) == "/local/domain/101/backend/vtpm-state/2/0");
  CHECK(scene.world.nodes.at("/local/domain/101/backend/vtpm-state/2/0/uuid") ==
        "30313233-3435-3637-3839-616263646566");
  CHECK(scene.world.nodes.at("/local/domain/101/backend/vtpm-state/2/0/owner") == "guest");
  CHECK(scene.world.nodes.at("/local/domain/101/backend/vtpm-state/2/0/requester") == "tester");
}

TEST_CASE(
    "vtpms: the TPM Manager gets its device to the store of keys, and is left in peace with it") {
  const std::string device = "/local/domain/100/device/vtpm-state/0/";
  const std::string home = "/local/domain/101/backend/vtpm-state/100/0";
  constexpr char connected = '4'; // XenbusStateConnected
  WithVtpms scene;
  CHECK(scene.world.nodes.at(device + "backend") == home);
  CHECK(scene.world.nodes.at(home + "/owner") == "tpm-manager");
  CHECK_FALSE(scene.world.nodes.contains(home + "/requester"));
  scene.world.nodes.insert_or_assign(device + "state", std::string(1, connected));
  scene.restart();
  scene.settle();
  CHECK(scene.world.nodes.at(device + "state") == std::string(1, connected)); // not written anew
  scene.world.nodes.erase(device + "backend"); // as if the builder was killed before it wrote it
  scene.restart();
  CHECK(scene.until([&] { return scene.world.nodes.contains(device + "backend"); }));
}

TEST_CASE(
    "vtpms: what the vTPM reports instead is told to the requester, and the guest never runs") {
  WithVtpms scene;
  const std::uint32_t id = scene.begin();
  scene.report("failed: the state is an older one");
  const ipc::Response answer = scene.client->wait_final(id);
  CHECK(outcome(answer) == "io");
  CHECK(std::string(answer.part.failure.message).find("the state is an older one") !=
        std::string::npos);
  scene.check_nothing_ran();
}

TEST_CASE("vtpms: a report of another domain counts for nothing") {
  WithVtpms scene;
  const std::uint32_t id = scene.begin();
  scene.report("extended", guest);
  scene.report("extended", 101);
  scene.report("extende");
  CHECK(outcome(scene.client->wait_final(id)) == "io"); // the last one, which is none
  scene.check_nothing_ran();
}

TEST_CASE("vtpms: without its binding or its devices there is no guest") {
  for (const char* step : {"tpm-bind", "replace", "watch"}) {
    CAPTURE(step);
    WithVtpms scene;
    scene.world.faults[step] = 1;
    ipc::Request request = create_request("web", "kernel");
    request.verb.create.vtpm = ashlar_v1_VtpmVersion_VTPM_VERSION_1_2;
    const ipc::Response answer = scene.client->call(request);
    REQUIRE(answer.which_part == ashlar_v1_Response_failure_tag);
    CHECK(std::string(answer.part.failure.message).find("vTPM") != std::string::npos);
    scene.check_nothing_ran();
  }
}

TEST_CASE("vtpms: when its domain ends before the report there is no guest") {
  WithVtpms scene;
  const std::uint32_t id = scene.begin();
  scene.world.vanish(vtpm);
  CHECK(outcome(scene.client->wait_final(id)) == "peer_closed");
  scene.check_nothing_ran();
}

TEST_CASE("vtpms: a guest whose vTPM ends later is destroyed, and a vTPM whose guest ends") {
  for (const std::uint32_t gone : {guest, vtpm}) {
    CAPTURE(gone);
    WithVtpms scene;
    const std::uint32_t id = scene.begin();
    scene.report("extended");
    REQUIRE(done(scene.client->wait_final(id)));
    scene.world.vanish(gone);
    CHECK(scene.until([&] { return scene.world.domains.size() == 2; }));
    CHECK(scene.journal().domains.size() == 2);
  }
}

TEST_CASE("vtpms: a requester that leaves takes guest and vTPM with it") {
  WithVtpms scene;
  static_cast<void>(scene.begin());
  scene.client.reset();
  CHECK(scene.until([&] { return scene.world.domains.size() == 2; }));
  scene.check_nothing_ran();
}

TEST_CASE("vtpms: a builder that was killed while a vTPM started destroys both") {
  WithVtpms scene;
  static_cast<void>(scene.begin());
  scene.restart();
  scene.settle();
  CHECK(scene.world.domains.size() == 2);
  CHECK(scene.world.count("unpause 1") == 0);
  CHECK(scene.journal().domains.size() == 2);
}

TEST_CASE("vtpms: a restarted builder binds those that run again, and keeps them") {
  WithVtpms scene;
  const std::uint32_t id = scene.begin();
  scene.report("extended");
  REQUIRE(done(scene.client->wait_final(id)));
  const tpm::Binding before = scene.world.bindings.at(0);
  scene.world.bindings.clear();
  scene.restart();
  scene.settle();
  REQUIRE(scene.world.bindings.size() == 1);
  CHECK(scene.world.bindings[0].guest_serial == before.guest_serial);
  CHECK(scene.world.bindings[0].vtpm_serial == before.vtpm_serial);
  CHECK(scene.world.domains.size() == 4);
}

TEST_CASE("vtpms: without images for them a guest that wants one is not built") {
  Scene scene(vtpm_policy());
  scene.world.tpm_manager = true;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  ipc::Request request = create_request("web", "kernel");
  request.verb.create.vtpm = ashlar_v1_VtpmVersion_VTPM_VERSION_2_0;
  CHECK(outcome(client.call(request)) == "unsupported");
  CHECK(scene.world.domains.empty());
}
