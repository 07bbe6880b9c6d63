// SPDX-License-Identifier: LGPL-2.1-or-later
// Kernels that the policy knows by who signed them, and images that it takes back.
#include <doctest/doctest.h>

#include <unistd.h>

#include <fmt/format.h>

#include "../vendor_certificate.hpp"
#include "ashlar/base/bytes.hpp"
#include "scene.hpp"
#include "supervisor.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

std::string digest_of(const std::string& bytes) {
  const auto digests = measure::digest(as_bytes(bytes));
  REQUIRE(digests);
  return to_hex(digests->sha256);
}

/// The tester may create guests named web* from kernels that "vendor" has signed, and old-* from
/// the kernel "old kernel".
std::string signed_policy() {
  return fmt::format("[[certificate]]\nname = \"vendor\"\npem = '''\n{}'''\n"
                     "[[image]]\nname = \"signed\"\nkind = \"kernel\"\nsigned_by = [\"vendor\"]\n"
                     "[[image]]\nname = \"old\"\nkind = \"kernel\"\nsha256 = \"{}\"\n"
                     "[[requester]]\nname = \"tester\"\nuid = {}\n"
                     "[[rule]]\nname = \"signed guests\"\neffect = \"allow\"\n"
                     "requesters = [\"tester\"]\nverbs = \"any\"\n[rule.guest]\n"
                     "names = [\"web*\"]\nkernels = [\"signed\"]\ninitrds = []\n"
                     "command_lines = \"any\"\n"
                     "[[rule]]\nname = \"old guests\"\neffect = \"allow\"\n"
                     "requesters = [\"tester\"]\nverbs = [\"create\"]\n[rule.guest]\n"
                     "kernels = [\"old\"]\ninitrds = []\ncommand_lines = \"any\"\n",
                     vendor_certificate, digest_of("old kernel"), geteuid());
}

struct SignedScene : Scene {
  Client client{*this};
  SignedScene() : Scene(signed_policy()) {
    client.hello();
    world.signed_by = {"vendor"};
  }
  ipc::Response create(const std::string& name, const std::string& kernel) {
    static_cast<void>(client.upload(kernel));
    return client.call(create_request(name, kernel));
  }
};

/// The running guest has been up for long enough for a restart, and its builder keeps its images
/// over one of its own.
void age(Scene& scene, const Supervisor& supervisor) {
  Domain domain = scene.journal().domains.at(1);
  domain.started_unix -= 3600;
  auto opened = Journal::open(scene.journal_path());
  REQUIRE(opened);
  REQUIRE(opened->journal.built(domain));
  supervisor.give_back(supervisor.stored());
  scene.restart();
}

/// Release "acme" with this manifest.
std::string release_policy(const char* manifest) {
  return open_policy() +
         fmt::format("[[certificate]]\nname = \"vendor\"\npem = '''\n{}'''\n"
                     "[[release]]\nname = \"acme\"\nsigned_by = [\"vendor\"]\nmin_sequence = 1\n"
                     "[[manifest]]\npem = '''\n{}'''\n",
                     vendor_certificate, manifest);
}

} // namespace

TEST_CASE("signatures: a kernel is verified before it is inspected, and then built") {
  SignedScene scene;
  CHECK(done(scene.create("web", "kernel")));
  REQUIRE(scene.world.calls.size() >= 3);
  CHECK(scene.world.calls[0] == "verify kernel vendor");
  CHECK(scene.world.calls[1] == "inspect");
  CHECK(scene.world.calls[2] == "construct web");
  const JournalState state = scene.journal();
  REQUIRE(state.domains.size() == 1);
  CHECK(state.domains.begin()->second.rule == "signed guests");
}

TEST_CASE(
    "signatures: a kernel that nobody has signed is refused, and its bytes are not inspected") {
  SignedScene scene;
  scene.world.signed_by = {};
  const ipc::Response answer = scene.create("web", "kernel");
  REQUIRE(answer.which_part == ashlar_v1_Response_refusal_tag);
  CHECK(std::string(answer.part.refusal.reason).find("nor is it signed by") != std::string::npos);
  CHECK(scene.world.count("inspect") == 0);
  CHECK(scene.world.domains.empty());
  CHECK(scene.journal().intents.empty());
  // Its name and its place are free again.
  scene.world.signed_by = {"vendor"};
  CHECK(done(scene.create("web", "another kernel")));
}

TEST_CASE(
    "signatures: the verifier runs once for an image under one policy, and anew under another") {
  SignedScene scene;
  CHECK(done(scene.create("web", "kernel")));
  CHECK(done(scene.create("web-2", "kernel")));
  CHECK(scene.world.count("verify") == 1);
  scene.set_policy(signed_policy() + "# changed\n");
  REQUIRE(scene.broker);
  scene.broker->reload_policy();
  scene.world.signed_by = {};
  CHECK(outcome(scene.create("web-3", "kernel")) == "refusal");
  CHECK(scene.world.count("verify") == 2);
}

TEST_CASE("signatures: bytes are not parsed when no rule that would match asks who signed them") {
  SignedScene scene;
  CHECK(outcome(scene.create("other-name", "kernel")) == "refusal");
  CHECK(scene.world.count("verify") == 0);
  CHECK(done(scene.create("other-name", "old kernel")));
  CHECK(scene.world.count("verify") == 0);
}

TEST_CASE("signatures: a verifier that fails in any way refuses the kernel") {
  SignedScene scene;
  scene.world.verify_error = Error{ErrorCode::invalid, "verifying", "the verifier was killed", 0};
  CHECK(outcome(scene.create("web", "kernel")) == "invalid");
  scene.world.verify_error.reset();
  scene.world.faults["verify"] = 1;
  CHECK(outcome(scene.create("web", "kernel")) == "io");
  CHECK(scene.world.domains.empty());
  CHECK(scene.world.count("inspect") == 0);
}

TEST_CASE("signatures: a policy that comes while the verifier runs does not change its build") {
  SignedScene scene;
  REQUIRE(done(scene.client.upload("kernel")));
  scene.world.hold_verify = true;
  const std::uint32_t id = scene.client.send(create_request("web", "kernel"));
  REQUIRE(scene.until([&] { return !scene.world.held.empty(); }));
  scene.set_policy(closed_policy());
  scene.broker->reload_policy();
  scene.world.release();
  CHECK(done(scene.client.wait_final(id)));
  CHECK(outcome(scene.client.call(create_request("web-2", "kernel"))) == "refusal");
}

TEST_CASE("signatures: a build that is cancelled while the verifier runs leaves nothing") {
  SignedScene scene;
  REQUIRE(done(scene.client.upload("kernel")));
  scene.world.hold_verify = true;
  const std::uint32_t id = scene.client.send(create_request("web", "kernel"));
  REQUIRE(scene.until([&] { return !scene.world.held.empty(); }));
  ipc::Request cancel = ashlar_v1_Request_init_zero;
  cancel.which_verb = ashlar_v1_Request_cancel_tag;
  cancel.verb.cancel.id = id;
  CHECK(done(scene.client.call(cancel)));
  CHECK(scene.world.running_jobs == 0);
  CHECK(scene.world.domains.empty());
}

TEST_CASE("revocation: an image that is held already is not built once the policy takes it back") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  REQUIRE(done(client.upload("initrd")));
  CHECK(client.build("web", "kernel", {"initrd"}) == 1);
  for (const std::string image : {"kernel", "initrd"}) {
    CAPTURE(image);
    scene.set_policy(open_policy() +
                     fmt::format("[[revoked]]\nsha256 = \"{}\"\n", digest_of(image)));
    scene.broker->reload_policy();
    const ipc::Response answer = client.call(create_request("web-2", "kernel", {"initrd"}));
    REQUIRE(answer.which_part == ashlar_v1_Response_refusal_tag);
    CHECK(std::string(answer.part.refusal.reason).starts_with("the policy revokes"));
    CHECK(outcome(client.upload(image)) == "refusal");
  }
  CHECK(scene.world.count("construct") == 1);
}

TEST_CASE("revocation: an Authenticode digest reaches a kernel whatever its unsigned bytes are") {
  SignedScene scene;
  scene.world.authenticode = measure::Sha256{};
  const std::string revoked =
      "[[revoked]]\nreason = \"too old\"\nauthenticode_sha256 = \"" + std::string(64, '0') + "\"\n";
  const auto refused = [](const ipc::Response& answer) {
    REQUIRE(answer.which_part == ashlar_v1_Response_refusal_tag);
    CHECK(std::string(answer.part.refusal.reason) ==
          "the policy revokes the kernel with the Authenticode sha256 " + std::string(64, '0') +
              ": too old");
  };
  SUBCASE("one that was looked into before is not looked into again") {
    CHECK(done(scene.create("web", "kernel")));
    scene.set_policy(signed_policy() + revoked);
    scene.broker->reload_policy();
    refused(scene.client.call(create_request("web-2", "kernel")));
    CHECK(scene.world.count("verify") == 1);
  }
  SUBCASE("one with other unsigned bytes is looked into, also where its bytes are named") {
    scene.set_policy(signed_policy() + revoked);
    scene.broker->reload_policy();
    refused(scene.create("web", "kernel with other padding"));
    refused(scene.create("other-name", "old kernel"));
    CHECK(scene.world.count("verify") == 2);
    CHECK(scene.world.count("inspect") == 0);
  }
  SUBCASE("what no rule allows is not looked into, and what is not revoked is built") {
    scene.set_policy(signed_policy() + revoked);
    scene.broker->reload_policy();
    CHECK(outcome(scene.create("other-name", "kernel")) == "refusal");
    CHECK(scene.world.count("verify") == 0);
    scene.world.authenticode->fill(std::byte{1});
    CHECK(done(scene.create("web", "kernel")));
    scene.world.authenticode.reset(); // no PE image
    CHECK(done(scene.create("other-name", "old kernel")));
  }
}

TEST_CASE("signatures: a guest that reboots is verified anew when the builder does not remember") {
  const Supervisor supervisor;
  SignedScene scene;
  REQUIRE(done(scene.create("web", "kernel")));
  age(scene, supervisor);
  SUBCASE("it is still signed by a certificate of the policy") {
    scene.world.shut_down(1, xen::ShutdownReason::reboot);
    CHECK(scene.until([&] { return scene.world.count("unpause") == 2; }));
    CHECK(scene.world.count("verify") == 2);
    CHECK(scene.journal().domains.begin()->second.rule == "signed guests");
  }
  SUBCASE("it is not") {
    scene.world.signed_by = {};
    scene.world.shut_down(1, xen::ShutdownReason::reboot);
    scene.settle();
    CHECK(scene.world.count("verify") == 2);
    CHECK(scene.world.domains.empty());
    CHECK(scene.world.count("construct") == 1);
  }
}

TEST_CASE("revocation: a guest does not start again from an image that was taken back meanwhile") {
  const Supervisor supervisor;
  Scene scene;
  {
    Client client(scene);
    client.hello();
    client.build("web", "kernel");
  }
  age(scene, supervisor);
  scene.set_policy(open_policy() +
                   fmt::format("[[revoked]]\nsha256 = \"{}\"\n", digest_of("kernel")));
  scene.broker->reload_policy();
  scene.world.shut_down(1, xen::ShutdownReason::reboot);
  scene.settle();
  CHECK(scene.world.domains.empty());
  CHECK(scene.world.count("construct") == 1);
}

TEST_CASE("signatures: a reload does not take a release back to an older manifest") {
  Scene scene(release_policy(vendor_manifest_6));
  Client client(scene);
  client.hello();
  ipc::Request reload = ashlar_v1_Request_init_zero;
  reload.which_verb = ashlar_v1_Request_policy_reload_tag;
  scene.set_policy(release_policy(vendor_manifest_7));
  CHECK(done(client.call(reload)));
  scene.set_policy(release_policy(vendor_manifest_6));
  const ipc::Response answer = client.call(reload);
  CHECK(outcome(answer) == "invalid");
  CHECK(std::string(answer.part.failure.check).find("from sequence 7 to 6") != std::string::npos);
  // Nor by way of a policy without the release.
  scene.set_policy(open_policy());
  CHECK(done(client.call(reload)));
  scene.set_policy(release_policy(vendor_manifest_6));
  CHECK(outcome(client.call(reload)) == "invalid");
}
