// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/notify_socket.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

using namespace ashlar;
using init::NotifySocket;

namespace {

/// A directory for the socket, removed at the end.
struct Directory {
  std::string path = "/tmp/ashlar-notify-XXXXXX";
  Directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Directory() { std::filesystem::remove_all(path); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
};

/// Sends as libsystemd does: text, and one descriptor if `fd` is one.
void send(const std::string& path, std::string text, int fd) {
  const UniqueFd from(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(static_cast<char*>(address.sun_path), path.data(), path.size());
  iovec part{text.data(), text.size()};
  msghdr message = {};
  message.msg_name = &address;
  message.msg_namelen = sizeof address;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  REQUIRE(::sendmsg(from.value(), &message, 0) == static_cast<ssize_t>(text.size()));
}

} // namespace

TEST_CASE("notifications: reads the assignments that init acts on and skips others") {
  const init::Notification said = init::parse_notification(
      "READY=1\nSTATUS=2 domains\nFDSTORE=1\nFDNAME=journal\nMAINPID=7\nnonsense");
  CHECK(said.ready);
  CHECK(said.store);
  CHECK_FALSE(said.remove);
  CHECK(said.status == "2 domains");
  CHECK(said.descriptor_name == "journal");
}

TEST_CASE("notifications: only the value 1 switches on") {
  const init::Notification said = init::parse_notification("READY=0\nFDSTOREREMOVE=yes");
  CHECK_FALSE(said.ready);
  CHECK_FALSE(said.remove);
}

TEST_CASE("notify socket: a datagram comes with its sender and its descriptor") {
  const Directory directory;
  const std::string path = directory.path + "/notify";
  Result<NotifySocket> socket = NotifySocket::bind(path);
  REQUIRE(socket);
  int pipe_ends[2] = {-1, -1};
  REQUIRE(::pipe(pipe_ends) == 0);
  const UniqueFd in(pipe_ends[0]);
  UniqueFd out(pipe_ends[1]);
  send(path, "FDSTORE=1\nFDNAME=out", out.value());
  out.reset();
  Result<std::optional<init::NotifyDatagram>> got = socket->receive();
  REQUIRE(got);
  REQUIRE(*got);
  CHECK((*got)->sender == ::getpid());
  CHECK((*got)->notification.store);
  REQUIRE((*got)->descriptors.size() == 1);
  const int received = (*got)->descriptors[0].value();
  CHECK((::fcntl(received, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(::write(received, "x", 1) == 1);
  char byte = 0;
  CHECK(::read(in.value(), &byte, 1) == 1);
  CHECK(byte == 'x');
}

TEST_CASE("notify socket: gives nothing when nothing waits") {
  const Directory directory;
  Result<NotifySocket> socket = NotifySocket::bind(directory.path + "/notify");
  REQUIRE(socket);
  const Result<std::optional<init::NotifyDatagram>> got = socket->receive();
  REQUIRE(got);
  CHECK_FALSE(got->has_value());
}

TEST_CASE("notify socket: drops a datagram that is too long, and the next one is read") {
  const Directory directory;
  const std::string path = directory.path + "/notify";
  Result<NotifySocket> socket = NotifySocket::bind(path);
  REQUIRE(socket);
  send(path, "STATUS=" + std::string(8000, 'a'), -1);
  send(path, "READY=1", -1);
  const Result<std::optional<init::NotifyDatagram>> dropped = socket->receive();
  REQUIRE_FALSE(dropped);
  CHECK(dropped.error().code == ErrorCode::limit);
  const Result<std::optional<init::NotifyDatagram>> next = socket->receive();
  REQUIRE(next);
  REQUIRE(*next);
  CHECK((*next)->notification.ready);
}

TEST_CASE("notify socket: refuses a path that a socket address cannot hold") {
  const Result<NotifySocket> socket = NotifySocket::bind("/tmp/" + std::string(200, 'a'));
  REQUIRE_FALSE(socket);
  CHECK(socket.error().code == ErrorCode::limit);
}
