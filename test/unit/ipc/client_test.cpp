// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/ipc/client.hpp"
#include "scripted_server.hpp"

using namespace ashlar;
using namespace ashlar::ipc;

namespace {

Result<Client> connect_to(const ScriptedServer& server, int silence_ms = 20'000) {
  return Client::connect(server.address(), {"test", silence_ms});
}

Request list_request() {
  Request request{};
  request.which_verb = ashlar_v1_Request_list_tag;
  return request;
}

UniqueFd file_of(const std::string& text) {
  UniqueFd fd = create_memory_file("image").value();
  REQUIRE(write_all(fd.value(), as_bytes(text), "the image"));
  REQUIRE(lseek(fd.value(), 0, SEEK_SET) == 0);
  return fd;
}

ashlar_v1_ImageRef image_of(std::uint64_t size) {
  ashlar_v1_ImageRef image{};
  image.size = size;
  return image;
}

} // namespace

TEST_CASE("client: says Hello and learns who the builder is") {
  const ScriptedServer server([](ScriptedServer&, const Request&) {});
  const auto client = connect_to(server);
  REQUIRE(client);
  CHECK(std::string(client->welcome().builder) == "scripted 1");
}

TEST_CASE("client: a builder of another protocol version is refused") {
  ScriptedServer server([](ScriptedServer& builder, const Request& hello) {
    builder.reply(hello.id, ashlar_v1_Response_welcome_tag,
                  [](Response& response) { response.part.welcome.version = 2; });
    builder.done(hello.id);
  });
  server.welcome = false;
  CHECK(connect_to(server).error().code == ErrorCode::unsupported);
}

TEST_CASE("client: a refused Hello comes back as denied, with the reason") {
  ScriptedServer server([](ScriptedServer& builder, const Request& hello) {
    builder.reply(hello.id, ashlar_v1_Response_refusal_tag,
                  [](Response& response) { set_text(response.part.refusal.reason, "not you"); });
  });
  server.welcome = false;
  const auto client = connect_to(server);
  REQUIRE_FALSE(client);
  CHECK(client.error().code == ErrorCode::denied);
  CHECK(client.error().message().find("not you") != std::string::npos);
}

TEST_CASE("client: hands on partial responses and returns the final one") {
  const ScriptedServer server([](ScriptedServer& builder, const Request& request) {
    builder.reply(request.id + 1, ashlar_v1_Response_done_tag); // of another request
    builder.reply(request.id, ashlar_v1_Response_domain_tag,
                  [](Response& response) { response.part.domain.domid = 5; });
    builder.fail(request.id, "busy", "later");
  });
  auto client = connect_to(server);
  REQUIRE(client);
  Request request = list_request();
  std::vector<std::uint32_t> domids;
  const auto final = client->call(
      request, [&](const Response& part) { domids.push_back(part.part.domain.domid); });
  REQUIRE(final);
  CHECK(final->which_part == ashlar_v1_Response_failure_tag);
  CHECK(std::string(final->part.failure.code) == "busy");
  CHECK(domids == std::vector<std::uint32_t>{5});
}

TEST_CASE("client: a failure of the connection itself ends the call with the builder's words") {
  const ScriptedServer server(
      [](ScriptedServer& builder, const Request&) { builder.fail(0, "limit", "too much"); });
  auto client = connect_to(server);
  REQUIRE(client);
  Request request = list_request();
  const auto final = client->call(request, {});
  REQUIRE_FALSE(final);
  CHECK(final.error().code == ErrorCode::peer_closed);
  CHECK(final.error().message().find("too much") != std::string::npos);
}

TEST_CASE("client: garbage from the builder, a data frame, or a closed connection end the call") {
  struct Answer {
    ScriptedServer::Handler handler;
    ErrorCode code;
  };
  const std::array answers = {
      Answer{[](ScriptedServer& builder, const Request&) {
               builder.send_bytes(FrameKind::control, as_bytes("\xff\xff\xff"));
             },
             ErrorCode::invalid},
      Answer{[](ScriptedServer& builder, const Request&) {
               builder.send_bytes(FrameKind::data, as_bytes("x"));
             },
             ErrorCode::invalid},
      Answer{[](ScriptedServer& builder, const Request&) { builder.hang_up(); },
             ErrorCode::peer_closed}};
  for (const Answer& answer : answers) {
    const ScriptedServer server(answer.handler);
    auto client = connect_to(server);
    REQUIRE(client);
    Request request = list_request();
    const auto final = client->call(request, {});
    REQUIRE_FALSE(final);
    CHECK(final.error().code == answer.code);
  }
}

TEST_CASE("client: a silent builder is given up") {
  const ScriptedServer server([](ScriptedServer&, const Request&) {});
  auto client = connect_to(server, 300);
  REQUIRE(client);
  Request request = list_request();
  CHECK(client->call(request, {}).error().code == ErrorCode::timeout);
}

TEST_CASE("client: an upload arrives as it is, between its begin and its end") {
  ScriptedServer server([](ScriptedServer& builder, const Request& request) {
    if (request.which_verb == ashlar_v1_Request_upload_end_tag)
      builder.done(request.id);
  });
  std::string text(3 * max_data_bytes + 17, 'a');
  text[max_data_bytes] = 'b';
  const UniqueFd fd = file_of(text);
  std::uint64_t last = 0;
  {
    auto client = connect_to(server);
    REQUIRE(client);
    const auto final = client->upload(image_of(text.size()), fd.value(),
                                      [&](std::uint64_t done, std::uint64_t) { last = done; });
    REQUIRE(final);
    CHECK(final->which_part == ashlar_v1_Response_done_tag);
  }
  server.join();
  CHECK(last == text.size());
  REQUIRE(server.images.size() == 1);
  CHECK(server.images[0] == text);
  REQUIRE(server.requests.size() == 2);
  CHECK(server.requests[0].id == server.requests[1].id);
}

TEST_CASE("client: an upload that is refused at once does not send the rest") {
  ScriptedServer server([](ScriptedServer& builder, const Request& request) {
    builder.fail(request.id, "limit", "too large");
    builder.hang_up(); // with most of the image unread
  });
  const std::string text(64 * max_data_bytes, 'a');
  const UniqueFd fd = file_of(text);
  auto client = connect_to(server);
  REQUIRE(client);
  const auto final = client->upload(image_of(text.size()), fd.value(), {});
  // Either its word arrived in time, or the closed connection did.
  CHECK((final ? final->which_part == ashlar_v1_Response_failure_tag
               : final.error().code == ErrorCode::peer_closed));
}

TEST_CASE("client: a file that became shorter is an integrity error, and nothing is ended") {
  ScriptedServer server([](ScriptedServer&, const Request&) {});
  const UniqueFd fd = file_of("short");
  {
    auto client = connect_to(server);
    REQUIRE(client);
    CHECK(client->upload(image_of(6), fd.value(), {}).error().code == ErrorCode::integrity);
  }
  server.join();
  CHECK(server.requests.size() == 1);
}

TEST_CASE("client: an interrupt cancels the call under way") {
  const UniqueFd interrupt(eventfd(0, EFD_CLOEXEC));
  ScriptedServer server([&](ScriptedServer& builder, const Request& request) {
    if (request.which_verb == ashlar_v1_Request_cancel_tag)
      builder.fail(request.verb.cancel.id, "cancelled", "as you wish");
    else
      eventfd_write(interrupt.value(), 1);
  });
  {
    auto client = connect_to(server);
    REQUIRE(client);
    client->interrupt_by(interrupt.value());
    Request request = list_request();
    CHECK(client->call(request, {}).error().code == ErrorCode::cancelled);
  }
  server.join();
  REQUIRE(server.requests.size() == 2);
  CHECK(server.requests[1].verb.cancel.id == server.requests[0].id);
}

TEST_CASE("client: an address that is neither unix: nor vchan: is invalid") {
  for (const char* bad : {"", "localhost", "vchan:", "vchan:x", "vchan:1x", "vchan:-1", "tcp:1"})
    CHECK(Client::connect(bad, {"test", 100}).error().code == ErrorCode::invalid);
}
