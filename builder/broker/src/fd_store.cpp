// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/fd_store.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace ashlar::broker {

namespace {

constexpr int first_listen_fd = 3; // SD_LISTEN_FDS_START
constexpr int most_listen_fds = 1024;

std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value ? value : "";
  unsetenv(name);
  return text;
}

int to_number(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : -1;
}

std::map<std::string, UniqueFd> stored_descriptors(int count, std::string_view names) {
  std::map<std::string, UniqueFd> stored;
  for (int i = 0; i < count; ++i) {
    UniqueFd fd(first_listen_fd + i);
    if (fcntl(fd.value(), F_SETFD, FD_CLOEXEC) != 0) {
      [[maybe_unused]] const int not_open = fd.release();
      break;
    }
    const std::size_t colon = names.find(':');
    std::string name(names.substr(0, colon));
    names = colon == std::string_view::npos ? std::string_view() : names.substr(colon + 1);
    stored.insert_or_assign(std::move(name), std::move(fd));
  }
  return stored;
}

} // namespace

FdStore FdStore::from_environment() {
  FdStore store;
  store.socket_path_ = take_variable("NOTIFY_SOCKET");
  const int pid = to_number(take_variable("LISTEN_PID"));
  const int count = to_number(take_variable("LISTEN_FDS"));
  const std::string names = take_variable("LISTEN_FDNAMES");
  if (pid == getpid() && count > 0 && count <= most_listen_fds)
    store.stored_ = stored_descriptors(count, names);
  return store;
}

Status FdStore::store(const std::string& name, int fd) {
  // FDPOLL=0: the supervisor must not drop the descriptor because poll reports something on it.
  return notify("FDSTORE=1\nFDNAME=" + name + "\nFDPOLL=0", fd);
}

Status FdStore::remove(const std::string& name) {
  return notify("FDSTOREREMOVE=1\nFDNAME=" + name, -1);
}

Status FdStore::ready(const std::string& status) {
  return notify("READY=1\nSTATUS=" + status, -1);
}

Status FdStore::notify(const std::string& message, int fd) {
  if (!active())
    return {};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path_.size() >= sizeof address.sun_path)
    return failure(ErrorCode::limit, "notifying the supervisor",
                   "NOTIFY_SOCKET is too long a path");
  std::memcpy(address.sun_path, socket_path_.data(), socket_path_.size());
  if (address.sun_path[0] == '@')
    address.sun_path[0] = '\0'; // an abstract socket name
  UniqueFd socket_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_fd)
    return errno_failure("notifying the supervisor");
  std::string text = message;
  iovec data{.iov_base = text.data(), .iov_len = text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_name = &address;
  header.msg_namelen =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_path_.size());
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  if (sendmsg(socket_fd.value(), &header, MSG_NOSIGNAL) < 0)
    return errno_failure("notifying the supervisor at " + socket_path_);
  return {};
}

} // namespace ashlar::broker
