// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ashlar/base/bytes.hpp"
#include "ashlar/ipc/frame.hpp"
#include "ashlar/ipc/unix_socket.hpp"

using namespace ashlar;
using namespace ashlar::ipc;

namespace {

struct Folder {
  std::string path = "/tmp/ashlar-unix-XXXXXX";
  Folder() { REQUIRE(mkdtemp(path.data()) != nullptr); }
  ~Folder() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string socket() const { return path + "/s"; }
};

struct Pair {
  Folder folder;
  UnixListener listener = UnixListener::bind(folder.socket()).value();
  std::unique_ptr<Transport> client = connect_unix(folder.socket()).value();
  std::unique_ptr<Transport> server = listener.accept().value();
};

} // namespace

TEST_CASE("unix socket: the kernel says who is at the other end") {
  const Pair pair;
  REQUIRE(pair.server);
  const TransportPeer who = pair.server->peer();
  const auto* peer = std::get_if<UnixPeer>(&who);
  REQUIRE(peer);
  CHECK(peer->uid == geteuid());
  CHECK(peer->gid == getegid());
  CHECK(peer->pid == getpid());
}

TEST_CASE("unix socket: bytes pass, and nothing there is no error") {
  const Pair pair;
  std::array<std::byte, 8> buffer{};
  CHECK(pair.server->read(buffer).value() == 0);
  CHECK(pair.client->write(as_bytes("hello")).value() == 5);
  CHECK(pair.server->read(buffer).value() == 5);
  CHECK(std::to_integer<char>(buffer[0]) == 'h');
}

TEST_CASE("unix socket: what was sent before a close is read, then peer_closed") {
  Pair pair;
  CHECK(pair.client->write(as_bytes("x")).value() == 1);
  pair.client.reset();
  std::array<std::byte, 8> buffer{};
  CHECK(pair.server->read(buffer).value() == 1);
  const auto end = pair.server->read(buffer);
  REQUIRE_FALSE(end);
  CHECK(end.error().code == ErrorCode::peer_closed);
  const auto written = pair.server->write(as_bytes("y"));
  REQUIRE_FALSE(written);
  CHECK(written.error().code == ErrorCode::peer_closed);
}

TEST_CASE("unix socket: a full socket takes nothing more and does not block") {
  const Pair pair;
  const std::vector<std::byte> block(65536);
  std::size_t total = 0;
  while (const std::size_t count = pair.client->write(block).value()) {
    total += count;
    REQUIRE(total < (std::size_t{64} << 20));
  }
  std::vector<std::byte> buffer(65536);
  std::size_t received = 0;
  while (const std::size_t count = pair.server->read(buffer).value())
    received += count;
  CHECK(received == total);
  CHECK(pair.client->write(block).value() > 0);
}

TEST_CASE("unix socket: accept without a connection gives nothing") {
  const Folder folder;
  auto listener = UnixListener::bind(folder.socket());
  REQUIRE(listener);
  const auto none = listener->accept();
  REQUIRE(none);
  CHECK(*none == nullptr);
}

TEST_CASE("unix socket: a stale socket is replaced, a live one and a file are not") {
  const Folder folder;
  {
    const auto gone = UnixListener::bind(folder.socket());
  }
  const auto live = UnixListener::bind(folder.socket());
  REQUIRE(live);
  struct stat info = {};
  REQUIRE(stat(folder.socket().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0666);
  CHECK(UnixListener::bind(folder.socket()).error().code == ErrorCode::exists);
  const std::string file = folder.path + "/file";
  std::ofstream(file) << "precious";
  CHECK(UnixListener::bind(file).error().code == ErrorCode::exists);
  CHECK(std::filesystem::file_size(file) == 8);
}

TEST_CASE("unix socket: connecting where nobody listens is not_found, and a long path is a limit") {
  const Folder folder;
  CHECK(connect_unix(folder.socket()).error().code == ErrorCode::not_found);
  CHECK(connect_unix(std::string(200, 'x')).error().code == ErrorCode::limit);
}
