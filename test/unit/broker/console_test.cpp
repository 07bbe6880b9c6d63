// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <fcntl.h>
#include <pty.h>
#include <unistd.h>

#include <filesystem>

#include "ashlar/base/bytes.hpp"
#include "ashlar/broker/console.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

/// The side of a terminal that xenconsoled holds.
struct Terminal {
  UniqueFd controller;
  UniqueFd terminal;
  std::string path;
  Terminal() {
    int ends[2] = {-1, -1};
    char name[256] = {};
    REQUIRE(openpty(&ends[0], &ends[1], name, nullptr, nullptr) == 0);
    controller = UniqueFd(ends[0]);
    terminal = UniqueFd(ends[1]);
    path = name;
    REQUIRE(fcntl(controller.value(), F_SETFL, O_NONBLOCK) == 0);
  }
  void print(const std::string& text) const {
    REQUIRE(write(controller.value(), text.data(), text.size()) ==
            static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] std::string typed() const {
    char text[256];
    const ssize_t count = read(controller.value(), text, sizeof text);
    return count > 0 ? std::string(text, static_cast<std::size_t>(count)) : std::string();
  }
};

std::string output(const Client& client, std::uint32_t id) {
  std::string all;
  for (const ipc::Response& part : client.parts(id, ashlar_v1_Response_console_output_tag))
    for (const std::byte byte : ipc::bytes_of(part.part.console_output.data))
      all.push_back(std::to_integer<char>(byte));
  return all;
}

ipc::Request open_request(std::uint32_t tail, bool follow) {
  ipc::Request request = by_domid(ashlar_v1_Request_console_open_tag, 1);
  request.verb.console_open.tail_bytes = tail;
  request.verb.console_open.follow = follow;
  return request;
}

} // namespace

TEST_CASE("console: the tail is the end of the log, and empty when nothing was printed") {
  const TemporaryDirectory directory;
  const auto none = console_tail(directory.path(), "web", 100);
  REQUIRE(none);
  CHECK(none->empty());
  write_file(directory.path() + "/guest-web.log", "0123456789");
  CHECK(console_tail(directory.path(), "web", 4) == "6789");
  CHECK(console_tail(directory.path(), "web", 100) == "0123456789");
  CHECK(console_tail(directory.path(), "web", 0) == "");
}

TEST_CASE("console: a log that is a symbolic link is not followed") {
  const TemporaryDirectory directory;
  write_file(directory.path() + "/secret", "secret");
  std::filesystem::create_symlink(directory.path() + "/secret",
                                  directory.path() + "/guest-web.log");
  CHECK_FALSE(console_tail(directory.path(), "web", 100));
}

TEST_CASE("console: a domain does not show the output of an earlier one of its name") {
  Scene scene;
  write_file(scene.settings.console_log_directory + "/guest-web.log", "of another time");
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  const ipc::Response answer = client.call(open_request(1000, false));
  CHECK(done(answer));
  CHECK(output(client, answer.id).empty());
}

TEST_CASE("console: a followed console carries both directions until it is cancelled") {
  Scene scene;
  const Terminal terminal;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  write_file(scene.settings.console_log_directory + "/guest-web.log", "past ");
  scene.world.nodes["/local/domain/1/console/tty"] = terminal.path;
  const std::uint32_t id = client.send(open_request(1000, true));
  const auto shows = [&](const std::string& text) {
    return scene.until([&] {
      client.pump();
      return output(client, id) == text;
    });
  };
  REQUIRE(shows("past "));
  scene.settle();
  terminal.print("login: ");
  CHECK(shows("past login: "));
  ipc::Request input = ashlar_v1_Request_init_zero;
  input.id = id;
  input.which_verb = ashlar_v1_Request_console_input_tag;
  REQUIRE(ipc::set_bytes(input.verb.console_input.data, as_bytes("root\n")));
  client.send(input);
  std::string typed;
  CHECK(scene.until([&] {
    client.pump();
    typed += terminal.typed();
    return typed == "root\n"; // raw: no echo came back, no newline was changed
  }));
  ipc::Request cancel = ashlar_v1_Request_init_zero;
  cancel.which_verb = ashlar_v1_Request_cancel_tag;
  cancel.verb.cancel.id = id;
  CHECK(done(client.call(cancel)));
  CHECK(done(client.wait_final(id)));
}

TEST_CASE("console: it ends when the terminal's other side is gone") {
  Scene scene;
  Terminal terminal;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  scene.world.nodes["/local/domain/1/console/tty"] = terminal.path;
  const std::uint32_t id = client.send(open_request(0, true));
  scene.settle();
  terminal.terminal.reset();
  terminal.controller.reset();
  CHECK(done(client.wait_final(id)));
}

TEST_CASE("console: without xenconsoled's terminal, or with a file in its place, it is refused") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.build("web", "kernel");
  CHECK(outcome(client.call(open_request(0, true))) == "not_found");
  write_file(scene.directory.path() + "/file", "no terminal");
  scene.world.nodes["/local/domain/1/console/tty"] = scene.directory.path() + "/file";
  const std::string refused = outcome(client.call(open_request(0, true)));
  CHECK(refused != "done");
}
