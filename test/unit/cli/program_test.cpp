// SPDX-License-Identifier: LGPL-2.1-or-later
// The built program against a scripted builder: output and exit codes.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "run_program.hpp"
#include "scripted_server.hpp"

using namespace ashlar;
using namespace ashlar::ipc;
using ashlar::test::Run;
using ashlar::test::run_ashlar;

namespace {

void reply_domain(ScriptedServer& builder, std::uint32_t id) {
  builder.reply(id, ashlar_v1_Response_domain_tag, [](Response& response) {
    set_text(response.part.domain.name, "web");
    response.part.domain.domid = 5;
    response.part.domain.serial = 3;
  });
}

void refuse(ScriptedServer& builder, const Request& request) {
  builder.reply(request.id, ashlar_v1_Response_refusal_tag, [](Response& response) {
    set_text(response.part.refusal.reason, "no");
    set_text(response.part.refusal.rule, "r");
  });
}

// Lacks both images at first, and takes what is uploaded.
void build(ScriptedServer& builder, const Request& request) {
  if (request.which_verb == ashlar_v1_Request_create_tag && builder.images.size() < 2)
    return builder.reply(request.id, ashlar_v1_Response_missing_images_tag, [](Response& response) {
      response.part.missing_images.positions_count = 2;
      response.part.missing_images.positions[1] = 1;
    });
  if (request.which_verb == ashlar_v1_Request_create_tag)
    reply_domain(builder, request.id);
  if (request.which_verb != ashlar_v1_Request_upload_begin_tag)
    builder.done(request.id);
}

} // namespace

TEST_CASE("ashlar: create uploads what is missing, in order, and prints domid and serial") {
  ScriptedServer server(build);
  std::ofstream(server.folder() + "/kernel") << "the kernel";
  std::ofstream(server.folder() + "/initrd") << "the initrd";
  const Run run = run_ashlar("-H " + server.address() + " create --name web --kernel " +
                             server.folder() + "/kernel --initrd " + server.folder() + "/initrd");
  server.join();
  CHECK(run.code == 0);
  CHECK(run.output == "web\ndomid: 5\nserial: 3\n");
  CHECK(server.images == std::vector<std::string>{"the kernel", "the initrd"});
}

TEST_CASE("ashlar: a builder that never has enough images is given up") {
  ScriptedServer server([](ScriptedServer& builder, const Request& request) {
    if (request.which_verb == ashlar_v1_Request_create_tag)
      builder.reply(request.id, ashlar_v1_Response_missing_images_tag,
                    [](Response& response) { response.part.missing_images.positions_count = 1; });
    else if (request.which_verb == ashlar_v1_Request_upload_end_tag)
      builder.done(request.id);
  });
  std::ofstream(server.folder() + "/kernel") << "the kernel";
  const Run run = run_ashlar("-H " + server.address() + " create --name web --kernel " +
                             server.folder() + "/kernel");
  server.join();
  CHECK(run.code == 1);
  CHECK(server.images.size() == 3);
}

TEST_CASE("ashlar: bytes that changed since they were hashed are named as such") {
  ScriptedServer server([](ScriptedServer& builder, const Request& request) {
    if (request.which_verb == ashlar_v1_Request_upload_end_tag)
      return builder.fail(request.id, "integrity", "digest differs");
    if (request.which_verb == ashlar_v1_Request_create_tag)
      builder.reply(request.id, ashlar_v1_Response_missing_images_tag,
                    [](Response& response) { response.part.missing_images.positions_count = 1; });
  });
  std::ofstream(server.folder() + "/kernel") << "the kernel";
  const Run run = run_ashlar("-H " + server.address() + " create --name web --kernel " +
                             server.folder() + "/kernel");
  CHECK(run.code == 1);
  CHECK(run.output.find("did the file change") != std::string::npos);
}

TEST_CASE("ashlar: upload sends images ahead, and create takes them by their digests") {
  ScriptedServer server([](ScriptedServer& builder, const Request& request) {
    if (request.which_verb == ashlar_v1_Request_create_tag)
      reply_domain(builder, request.id);
    if (request.which_verb != ashlar_v1_Request_upload_begin_tag)
      builder.done(request.id);
  });
  std::ofstream(server.folder() + "/kernel") << "the kernel";
  const Run sent = run_ashlar("-H " + server.address() + " upload " + server.folder() + "/kernel");
  CHECK(sent.code == 0);
  const std::string name = sent.output.substr(0, sent.output.find(' '));
  CHECK(name.starts_with("sha256:"));
  CHECK(name.size() == 71);
  const Run built = run_ashlar("-H " + server.address() + " create --name web --kernel " + name);
  server.join();
  CHECK(built.code == 0);
  CHECK(server.images == std::vector<std::string>{"the kernel"});
}

TEST_CASE("ashlar: an image that is given by its digest and not held cannot be sent") {
  ScriptedServer server([](ScriptedServer& builder, const Request& request) {
    if (request.which_verb == ashlar_v1_Request_create_tag)
      builder.reply(request.id, ashlar_v1_Response_missing_images_tag,
                    [](Response& response) { response.part.missing_images.positions_count = 1; });
  });
  const Run run = run_ashlar("-H " + server.address() +
                             " create --name web --kernel sha256:" + std::string(64, 'a'));
  CHECK(run.code == 1);
  CHECK(run.output.find("ashlar upload FILE") != std::string::npos);
  CHECK(run_ashlar("create --name web --kernel sha256:12").code == 2);
}

TEST_CASE("ashlar: exit code 3 and the rule for a refusal, also as JSON") {
  const ScriptedServer server(refuse);
  const Run text = run_ashlar("-H " + server.address() + " destroy web");
  CHECK(text.code == 3);
  CHECK(text.output == "ashlar: refused: no (rule \"r\")\n");
  const Run json = run_ashlar("-H " + server.address() + " --json destroy web");
  CHECK(json.code == 3);
  CHECK(nlohmann::json::parse(json.output, nullptr, false)["error"]["rule"] == "r");
}

TEST_CASE("ashlar: exit code 1 for a failure, with the builder's words") {
  const ScriptedServer server([](ScriptedServer& builder, const Request& request) {
    builder.fail(request.id, "not_found", "there is no domain web");
  });
  const Run run = run_ashlar("-H " + server.address() + " info web");
  CHECK(run.code == 1);
  CHECK(run.output == "ashlar: there is no domain web\n");
}

TEST_CASE("ashlar: exit code 2 for wrong usage, 4 where there is no builder") {
  CHECK(run_ashlar("info").code == 2);
  for (const std::string& address :
       {std::string("nowhere"), std::string("unix:"), std::string("vchan:"), std::string("vchan:x"),
        std::string("vchan:99999999999"), "unix:/" + std::string(107, 'x')})
    CHECK(run_ashlar("-H " + address + " list").code == 2);
  CHECK(run_ashlar("-H unix:/" + std::string(106, 'x') + " list").code == 4);
  const Run run = run_ashlar("-H unix:/nonexistent/socket list --json");
  CHECK(run.code == 4);
  CHECK(nlohmann::json::parse(run.output, nullptr, false)["error"]["kind"] == "transport");
}

TEST_CASE("ashlar: a record that lost an event on the way is not shown") {
  const ScriptedServer server([](ScriptedServer& builder, const Request& request) {
    builder.reply(request.id, ashlar_v1_Response_record_tag,
                  [](Response& response) { response.part.record.events = 2; });
    builder.reply(request.id, ashlar_v1_Response_event_tag);
    builder.done(request.id);
  });
  CHECK(run_ashlar("-H " + server.address() + " measurement web").code == 4);
}

TEST_CASE("ashlar: a policy that does not load makes reload fail, and show tell") {
  const ScriptedServer server([](ScriptedServer& builder, const Request& request) {
    builder.reply(request.id, ashlar_v1_Response_policy_state_tag, [](Response& response) {
      set_text(response.part.policy_state.load_error, "a.toml:3: unknown key");
    });
    builder.done(request.id);
  });
  const Run reload = run_ashlar("-H " + server.address() + " policy reload");
  CHECK(reload.code == 1);
  CHECK(reload.output.find("a.toml:3: unknown key") != std::string::npos);
  const Run show = run_ashlar("-H " + server.address() + " policy show");
  CHECK(show.code == 0);
  CHECK(show.output.find("a.toml:3: unknown key") != std::string::npos);
}

TEST_CASE("ashlar: list, domid and version print what the builder says") {
  const ScriptedServer server([](ScriptedServer& builder, const Request& request) {
    reply_domain(builder, request.id);
    builder.done(request.id);
  });
  const Run list = run_ashlar("-H " + server.address() + " list --json");
  CHECK(list.code == 0);
  CHECK(nlohmann::json::parse(list.output, nullptr, false)[0]["name"] == "web");
  CHECK(run_ashlar("-H " + server.address() + " domid web").output == "5\n");
  CHECK(run_ashlar("-H " + server.address() + " version").output.find("requester: tests") !=
        std::string::npos);
}

TEST_CASE("ashlar: console --tail prints the output as it is, and exits") {
  const ScriptedServer server([](ScriptedServer& builder, const Request& request) {
    builder.reply(request.id, ashlar_v1_Response_console_output_tag, [](Response& response) {
      REQUIRE(set_bytes(response.part.console_output.data, std::as_bytes(std::span("login:", 6))));
    });
    builder.done(request.id);
  });
  const Run run = run_ashlar("-H " + server.address() + " console web --tail 100");
  CHECK(run.code == 0);
  CHECK(run.output == "login:");
}
