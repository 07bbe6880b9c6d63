// SPDX-License-Identifier: LGPL-2.1-or-later
// Signatures that requesters bring with their images.
#include <doctest/doctest.h>

#include <unistd.h>

#include <fmt/format.h>

#include "../vendor_certificate.hpp"
#include "ashlar/base/bytes.hpp"
#include "ashlar/signature/limits.hpp"
#include "scene.hpp"
#include "supervisor.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

/// The tester may create guests named web* from what "vendor" has signed, and free-* from anything.
std::string signed_policy() {
  return fmt::format("[[certificate]]\nname = \"vendor\"\npem = '''\n{}'''\n"
                     "[[image]]\nname = \"kernels\"\nkind = \"kernel\"\nsigned_by = [\"vendor\"]\n"
                     "[[image]]\nname = \"initrds\"\nkind = \"initrd\"\nsigned_by = [\"vendor\"]\n"
                     "[[requester]]\nname = \"tester\"\nuid = {}\n"
                     "[[rule]]\nname = \"signed guests\"\neffect = \"allow\"\n"
                     "requesters = [\"tester\"]\nverbs = \"any\"\n[rule.guest]\n"
                     "names = [\"web*\"]\nkernels = [\"kernels\"]\ninitrds = [\"initrds\"]\n"
                     "command_lines = \"any\"\n"
                     "[[rule]]\nname = \"free guests\"\neffect = \"allow\"\n"
                     "requesters = [\"tester\"]\nverbs = [\"create\"]\n[rule.guest]\n"
                     "names = [\"free-*\"]\nkernels = \"any\"\ninitrds = \"any\"\n"
                     "command_lines = \"any\"\n",
                     vendor_certificate, geteuid());
}

/// Neither kernel nor initrd is signed inside; whatever signature comes along is by "vendor".
struct BringingScene : Scene {
  Client client{*this};
  BringingScene() : Scene(signed_policy()) {
    client.hello();
    world.brought_by = {"vendor"};
    REQUIRE(done(client.upload("kernel")));
    REQUIRE(done(client.upload("initrd")));
  }
};

ipc::Request request(const std::string& name, const std::string& kernel_signature,
                     const std::vector<std::string>& initrd_signatures) {
  ipc::Request request = create_request(name, "kernel", {"initrd"});
  ashlar_v1_Create& create = request.verb.create;
  REQUIRE(ipc::set_bytes(create.kernel_signature, as_bytes(kernel_signature)));
  for (const std::string& signature : initrd_signatures)
    REQUIRE(ipc::set_bytes(create.initrd_signatures[create.initrd_signatures_count++],
                           as_bytes(signature)));
  return request;
}

ipc::Request dry_run(ipc::Request request) {
  request.verb.create.dry_run = true;
  return request;
}

} // namespace

TEST_CASE("brought signatures: both images count as signed, and nothing is looked for inside") {
  BringingScene scene;
  CHECK(done(scene.client.call(request("web", "SIG K", {"SIG I"}))));
  REQUIRE(scene.world.count("verify") == 1);
  CHECK(scene.world.calls[0].starts_with("verify [SIG K of vmlinuz][SIG I of initrd"));
  CHECK(scene.world.calls[1] == "inspect");
  CHECK(scene.journal().domains.begin()->second.rule == "signed guests");
}

TEST_CASE("brought signatures: a kernel signed inside needs none, and its initrd still does") {
  BringingScene scene;
  scene.world.signed_by = {"vendor"};
  CHECK(done(scene.client.call(request("web", "", {"SIG I"}))));
  CHECK(scene.world.calls[0].starts_with("verify [SIG I of initrd"));
  CHECK(scene.world.calls[1] == "verify kernel vendor");
  const ipc::Response refused = scene.client.call(request("web-2", "", {""}));
  REQUIRE(refused.which_part == ashlar_v1_Response_refusal_tag);
  CHECK(std::string(refused.part.refusal.reason).find("of initrd 1 is none of its initrds, nor") !=
        std::string::npos);
}

TEST_CASE("brought signatures: one that is wrong ends the build, even where no rule asks for it") {
  BringingScene scene;
  for (const char* name : {"web", "free-1"}) {
    CAPTURE(name);
    scene.world.verify_error = Error{ErrorCode::integrity, "verifying", "for another image", 0};
    CHECK(outcome(scene.client.call(request(name, "SIG K", {"SIG I"}))) == "integrity");
    scene.world.verify_error.reset();
    CHECK(outcome(scene.client.call(dry_run(request(name, "SIG K", {"SIG I"})))) == "done");
  }
  CHECK(scene.world.count("verify") == 4);
  CHECK(scene.world.count("inspect") == 0);
  CHECK(scene.journal().intents.empty());
}

TEST_CASE("brought signatures: none is parsed for a request that is refused anyway") {
  BringingScene scene;
  CHECK(outcome(scene.client.call(request("other", "SIG K", {"SIG I"}))) == "refusal");
  CHECK(scene.world.count("verify") == 0);
}

TEST_CASE("brought signatures: what they say of one request holds for no other") {
  BringingScene scene;
  CHECK(done(scene.client.call(request("web", "SIG K", {"SIG I"}))));
  CHECK(outcome(scene.client.call(request("web-2", "", {}))) == "refusal");
}

TEST_CASE("brought signatures: one for each initrd, or none at all") {
  BringingScene scene;
  ipc::Request two = request("web", "", {"SIG I", "SIG J"});
  CHECK(outcome(scene.client.call(two)) == "invalid");
  CHECK(scene.world.count("verify") == 0);
}

TEST_CASE("brought signatures: a guest that reboots is verified anew with those of its request") {
  const Supervisor supervisor;
  BringingScene scene;
  REQUIRE(done(scene.client.call(request("web", "SIG K", {"SIG I"}))));
  Domain domain = scene.journal().domains.at(1);
  domain.started_unix -= 3600;
  auto opened = Journal::open(scene.journal_path());
  REQUIRE(opened);
  REQUIRE(opened->journal.built(domain));
  supervisor.give_back(supervisor.stored());
  scene.restart();
  SUBCASE("and runs again") {
    scene.world.shut_down(1, xen::ShutdownReason::reboot);
    CHECK(scene.until([&] { return scene.world.count("unpause") == 2; }));
    CHECK(scene.world.count("verify [SIG K of vmlinuz][SIG I of initrd") == 2);
  }
  SUBCASE("or not") {
    scene.world.verify_error = Error{ErrorCode::denied, "verifying", "it is revoked", 0};
    scene.world.shut_down(1, xen::ShutdownReason::reboot);
    scene.settle();
    CHECK(scene.world.count("construct") == 1);
    CHECK(scene.world.domains.empty());
  }
}

TEST_CASE("brought signatures: the journal keeps the largest that there can be") {
  BringingScene scene;
  REQUIRE(done(scene.client.call(request("web", "SIG K", {"SIG I"}))));
  Domain domain = scene.journal().domains.at(1);
  domain.kernel.signature.assign(signature::max_request_signature_bytes, std::byte{1});
  domain.initrds.assign(signature::max_request_signatures - 1, domain.kernel);
  auto opened = Journal::open(scene.journal_path());
  REQUIRE(opened);
  REQUIRE(opened->journal.built(domain));
  const Domain read = scene.journal().domains.at(1);
  CHECK(read.kernel.signature == domain.kernel.signature);
  REQUIRE(read.initrds.size() == domain.initrds.size());
  CHECK(read.initrds.back().signature == domain.kernel.signature);
  CHECK_FALSE(read.kernel.brought.has_value());
}

TEST_CASE("dry run: the answer that a build would get, and nothing is built") {
  Scene scene(signed_policy());
  Client client(scene);
  client.hello();
  const ipc::Request question = dry_run(request("web", "", {"SIG I"}));
  // Only the kernel's bytes can carry signatures: nothing else is asked for.
  const ipc::Response missing = client.call(question);
  REQUIRE(outcome(missing) == "missing");
  REQUIRE(missing.part.missing_images.positions_count == 1);
  CHECK(missing.part.missing_images.positions[0] == 0);
  REQUIRE(done(client.upload("kernel")));
  scene.world.brought_by = {"vendor"};
  CHECK(outcome(client.call(question)) == "refusal");
  scene.set_policy(signed_policy() + "# changed\n");
  scene.broker->reload_policy();
  scene.world.signed_by = {"vendor"};
  CHECK(outcome(client.call(question)) == "done");
  CHECK(scene.world.count("inspect") == 0);
  CHECK(scene.world.domains.empty());
  CHECK(scene.journal().domains.empty());
}

TEST_CASE("dry run: where only an initrd's signature is open, no bytes are asked for") {
  std::string policy = signed_policy();
  const std::string kernels = "kernels = [\"kernels\"]";
  REQUIRE(policy.find(kernels) != std::string::npos);
  policy.replace(policy.find(kernels), kernels.size(), "kernels = \"any\"");
  Scene scene(policy);
  Client client(scene);
  client.hello();
  scene.world.brought_by = {"vendor"};
  CHECK(outcome(client.call(dry_run(request("web", "", {"SIG I"})))) == "done");
  CHECK(scene.world.count("verify") == 1);
  scene.world.brought_by = {};
  CHECK(outcome(client.call(dry_run(request("web", "", {"SIG I"})))) == "refusal");
}

TEST_CASE("dry run: it occupies no name while the verifier runs, and can be cancelled") {
  BringingScene scene;
  scene.world.hold_verify = true;
  const std::uint32_t id = scene.client.send(dry_run(request("web", "SIG K", {"SIG I"})));
  REQUIRE(scene.until([&] { return !scene.world.held.empty(); }));
  CHECK(outcome(scene.client.call(dry_run(create_request("free-1", "kernel")))) == "done");
  ipc::Request cancel = ashlar_v1_Request_init_zero;
  cancel.which_verb = ashlar_v1_Request_cancel_tag;
  cancel.verb.cancel.id = id;
  CHECK(done(scene.client.call(cancel)));
  CHECK(scene.world.running_jobs == 0);
}
