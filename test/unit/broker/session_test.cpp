// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ashlar/broker/limits.hpp"
#include "ashlar/ipc/unix_socket.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::broker::test;

namespace {

ipc::Request plain(pb_size_t verb) {
  ipc::Request request = ashlar_v1_Request_init_zero;
  request.which_verb = verb;
  return request;
}

const ipc::Response* connection_failure(const Client& client) {
  for (const ipc::Response& answer : client.answers)
    if (answer.id == 0 && answer.which_part == ashlar_v1_Response_failure_tag)
      return &answer;
  return nullptr;
}

} // namespace

TEST_CASE("session: hello tells the requester its name and the transport") {
  Scene scene;
  Client client(scene);
  client.hello();
  const auto welcome = client.parts(1, ashlar_v1_Response_welcome_tag);
  REQUIRE(welcome.size() == 1);
  CHECK(std::string(welcome[0].part.welcome.requester) == "tester");
  CHECK(std::string(welcome[0].part.welcome.transport) == "unix");
  CHECK(welcome[0].part.welcome.version == 1);
}

TEST_CASE("session: without a free descriptor a connection waits, and the builder stays quiet") {
  Scene scene;
  const auto waiting = ipc::connect_unix(scene.settings.socket);
  REQUIRE(waiting);
  const CapturedLog captured;
  {
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int first_free = dup(STDERR_FILENO);
    close(first_free);
    const rlimit none{static_cast<rlim_t>(first_free), before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    for (int i = 0; i < 50; ++i)
      scene.turn();
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  }
  CHECK(captured.count("accepting a connection") == 1);
  Client client(scene);
  client.hello();
  CHECK(client.parts(1, ashlar_v1_Response_welcome_tag).size() == 1);
}

TEST_CASE("session: the log says of a build that is given up who did so") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel")));
  scene.world.hold_construct = true;
  const std::uint32_t id = client.send(create_request("web", "kernel"));
  REQUIRE(scene.until([&] { return scene.world.held.size() == 1; }));
  const CapturedLog captured;
  SUBCASE("its requester") {
    ipc::Request cancel = plain(ashlar_v1_Request_cancel_tag);
    cancel.verb.cancel.id = id;
    CHECK(done(client.call(cancel)));
    CHECK(captured.count("build of \"web\" is given up: its requester cancelled it") == 1);
  }
  SUBCASE("its requester's process, by its end") {
    client = Client(scene);
    scene.settle();
    CHECK(captured.count("build of \"web\" is given up: its requester's connection has ended") ==
          1);
  }
}

TEST_CASE("session: a request for a domain that is not there is in the log, with what was asked") {
  Scene scene;
  Client client(scene);
  client.hello();
  const CapturedLog captured;
  CHECK(outcome(client.call(by_domid(ashlar_v1_Request_destroy_tag, 7))) == "not_found");
  CHECK(captured.count("looking for the domain to destroy: there is none with domid 7") == 1);
}

TEST_CASE("session: a first request that is not hello ends the connection") {
  Scene scene;
  Client client(scene);
  client.send(plain(ashlar_v1_Request_list_tag));
  CHECK(client.ends());
  REQUIRE(connection_failure(client));
  CHECK(std::string(connection_failure(client)->part.failure.message).contains("hello"));
}

TEST_CASE("session: another protocol version is refused with both versions") {
  Scene scene;
  Client client(scene);
  ipc::Request hello = plain(ashlar_v1_Request_hello_tag);
  hello.verb.hello.version = 7;
  const ipc::Response answer = client.call(hello);
  CHECK(outcome(answer) == "unsupported");
  CHECK(std::string(answer.part.failure.message).contains("version 7"));
  CHECK(client.ends());
}

TEST_CASE("session: the id of a request under way cannot be used again") {
  Scene scene;
  Client client(scene);
  client.hello();
  REQUIRE(done(client.upload("kernel bytes")));
  scene.world.hold_inspect = true;
  const std::uint32_t id = client.send(create_request("web", "kernel bytes"));
  ipc::Request again = plain(ashlar_v1_Request_list_tag);
  again.id = id;
  client.send(again);
  CHECK(client.ends());
  CHECK(connection_failure(client));
}

TEST_CASE("session: a data frame without an upload ends the connection") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.send_data("stray bytes");
  CHECK(client.ends());
  CHECK(connection_failure(client));
}

TEST_CASE("session: request id 0 ends the connection") {
  Scene scene;
  const auto connected = ipc::connect_unix(scene.settings.socket);
  REQUIRE(connected);
  Client client(scene);
  client.hello();
  const auto bytes = ipc::encode(plain(ashlar_v1_Request_list_tag));
  REQUIRE(bytes);
  ipc::FrameStream frames(**connected);
  REQUIRE(frames.send(ipc::FrameKind::control, *bytes));
  bool closed = false;
  CHECK(scene.until([&] {
    for (;;) {
      const auto frame = frames.receive();
      closed = closed || !frame;
      if (!frame || !*frame)
        return closed;
    }
  }));
}

TEST_CASE("session: a request that the builder does not know is answered as unsupported") {
  Scene scene;
  Client client(scene);
  client.hello();
  CHECK(outcome(client.call(plain(0))) == "unsupported");
  CHECK(outcome(client.call(plain(ashlar_v1_Request_list_tag))) == "done");
}

TEST_CASE("session: a client stuck in an upload does not hold up another") {
  Scene scene;
  Client stuck(scene);
  stuck.hello();
  ipc::Request begin = plain(ashlar_v1_Request_upload_begin_tag);
  begin.verb.upload_begin.has_image = true;
  begin.verb.upload_begin.image = reference(std::string(1 << 20, 'x'), "half");
  stuck.send(begin);
  stuck.send_data(std::string(1000, 'x'));
  Client other(scene);
  other.hello();
  CHECK(other.build("web", "kernel bytes") == 1);
  CHECK_FALSE(stuck.closed);
}

TEST_CASE("session: a client that reads nothing is closed at the queue's limit") {
  Scene scene;
  Client slow(scene);
  slow.hello();
  broker::test::write_file(scene.settings.console_log_directory + "/guest-web.log", "");
  slow.build("web", "kernel bytes");
  write_file(scene.settings.console_log_directory + "/guest-web.log", std::string(64 << 10, 'c'));
  ipc::Request open = by_domid(ashlar_v1_Request_console_open_tag, 1);
  open.verb.console_open.tail_bytes = 64 << 10;
  for (int i = 0; i < 64; ++i)
    slow.send(open); // 4 MiB of answers, none of which is read
  scene.settle();
  CHECK(slow.ends());
  CHECK(slow.answers.size() < 64 * 17);
  Client other(scene);
  other.hello();
}

TEST_CASE("session: one user cannot take all connections, and gets one again when one ends") {
  Scene scene;
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < broker::max_connections_per_peer; ++i) {
    clients.push_back(std::make_unique<Client>(scene));
    clients.back()->hello();
  }
  Client one_more(scene);
  CHECK(one_more.ends());
  clients.pop_back();
  scene.settle();
  Client again(scene);
  again.hello();
}

TEST_CASE("session: a broken policy file keeps the policy before it in force and says why") {
  Scene scene;
  Client client(scene);
  client.hello();
  scene.set_policy("version = 1\n[[rule]]\nnonsense = 3\n");
  CHECK(outcome(client.call(plain(ashlar_v1_Request_policy_reload_tag))) == "invalid");
  const ipc::Response shown = client.call(plain(ashlar_v1_Request_policy_show_tag));
  CHECK(done(shown));
  const auto state = client.parts(shown.id, ashlar_v1_Response_policy_state_tag);
  REQUIRE(state.size() == 1);
  CHECK(std::string(state[0].part.policy_state.load_error).contains("10-test.toml:"));
  CHECK(client.build("web", "kernel bytes") == 1);
  scene.set_policy(closed_policy());
  CHECK(done(client.call(plain(ashlar_v1_Request_policy_reload_tag))));
  CHECK(outcome(client.call(create_request("db", "kernel bytes"))) == "refusal");
}
