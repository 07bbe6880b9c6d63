// SPDX-License-Identifier: LGPL-2.1-or-later
#include "supervisor.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace ashlar::broker::test {

namespace {

constexpr int first_listen_fd = 3;
constexpr int most_stored = 4;

std::string line_value(const std::string& message, const std::string& key) {
  const std::size_t at = message.find(key + "=");
  if (at == std::string::npos)
    return {};
  const std::size_t begin = at + key.size() + 1;
  return message.substr(begin, message.find('\n', begin) - begin);
}

} // namespace

Supervisor::Supervisor() {
  for (UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
       fd && fd.value() < first_listen_fd + most_stored;
       fd = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC))) {
    const int number = fd.value();
    kept_free_.emplace(number, std::move(fd));
  }
  socket_ = UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  path_ = fmt::format("@ashlar-broker-test-{}", getpid());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, path_.data() + 1, path_.size() - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
  REQUIRE(bind(socket_.value(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
  setenv("NOTIFY_SOCKET", path_.c_str(), 1);
}

Supervisor::~Supervisor() {
  for (const char* name : {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
    unsetenv(name);
}

void Supervisor::receive() const {
  for (;;) {
    char text[4096];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    iovec data{.iov_base = text, .iov_len = sizeof text};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t count = recvmsg(socket_.value(), &header, MSG_CMSG_CLOEXEC);
    if (count < 0)
      return;
    const std::string message(text, static_cast<std::size_t>(count));
    ready_ = ready_ || message.contains("READY=1");
    if (line_value(message, "FDSTOREREMOVE") == "1")
      removed_.insert(line_value(message, "FDNAME"));
    const cmsghdr* rights = CMSG_FIRSTHDR(&header);
    if (!rights)
      continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    stored_.insert_or_assign(line_value(message, "FDNAME"), UniqueFd(fd));
  }
}

std::map<std::string, UniqueFd> Supervisor::stored() const {
  receive();
  return std::move(stored_);
}

std::set<std::string> Supervisor::removed() const {
  receive();
  return removed_;
}

bool Supervisor::ready() const {
  receive();
  return ready_;
}

void Supervisor::give_back(std::map<std::string, UniqueFd> stored) const {
  std::string names;
  int next = first_listen_fd;
  for (const auto& [name, fd] : stored) {
    REQUIRE(kept_free_.erase(next) == 1);
    REQUIRE(dup2(fd.value(), next) == next);
    names += (names.empty() ? "" : ":") + name;
    ++next;
  }
  setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
  setenv("LISTEN_FDS", std::to_string(stored.size()).c_str(), 1);
  setenv("LISTEN_FDNAMES", names.c_str(), 1);
}

} // namespace ashlar::broker::test
