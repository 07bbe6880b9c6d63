// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/notify_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace ashlar::init {

namespace {

constexpr std::size_t max_text = 4096;       // bytes, as systemd's NOTIFY_BUFFER_MAX
constexpr std::size_t max_descriptors = 253; // SCM_MAX_FD of the kernel

void apply(std::string_view line, Notification& to) {
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos)
    return;
  const std::string_view name = line.substr(0, equals);
  const std::string_view value = line.substr(equals + 1);
  if (name == "READY")
    to.ready = value == "1";
  else if (name == "FDSTORE")
    to.store = value == "1";
  else if (name == "FDSTOREREMOVE")
    to.remove = value == "1";
  else if (name == "FDNAME")
    to.descriptor_name = value;
  else if (name == "STATUS")
    to.status = value;
}

void take_control(const cmsghdr& header, const unsigned char* data, NotifyDatagram& to) {
  const std::size_t bytes = header.cmsg_len - CMSG_LEN(0);
  if (header.cmsg_type == SCM_CREDENTIALS && bytes == sizeof(ucred)) {
    ucred sender = {};
    std::memcpy(&sender, data, sizeof sender);
    to.sender = sender.pid;
  }
  if (header.cmsg_type != SCM_RIGHTS)
    return;
  for (std::size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
    int fd = -1;
    std::memcpy(&fd, data + at, sizeof fd);
    to.descriptors.emplace_back(fd);
  }
}

} // namespace

Notification parse_notification(std::string_view text) {
  Notification notification;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    apply(text.substr(0, end), notification);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return notification;
}

Result<NotifySocket> NotifySocket::bind(const std::string& path) {
  const std::string doing = "making the notification socket " + path;
  sockaddr_un address = {};
  if (path.size() >= sizeof address.sun_path)
    return failure(ErrorCode::limit, doing,
                   fmt::format("the path has more than {} bytes", sizeof address.sun_path - 1));
  address.sun_family = AF_UNIX;
  std::memcpy(static_cast<char*>(address.sun_path), path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd)
    return errno_failure(doing);
  const int on = 1;
  ::unlink(path.c_str());
  if (::setsockopt(fd.value(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      ::bind(fd.value(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0)
    return errno_failure(doing);
  return NotifySocket(std::move(fd));
}

Result<std::optional<NotifyDatagram>> NotifySocket::receive() {
  std::array<char, max_text> text = {};
  alignas(cmsghdr)
      std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(max_descriptors * sizeof(int))>
          control = {};
  iovec part{text.data(), text.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(fd_.value(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR))
    return std::nullopt;
  if (size < 0)
    return errno_failure("receiving a notification");
  NotifyDatagram datagram;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET)
      take_control(*header, CMSG_DATA(header), datagram);
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return failure(ErrorCode::limit, "receiving a notification",
                   fmt::format("it has more than {} bytes or {} descriptors, or init may not open "
                               "more; it was dropped",
                               max_text, max_descriptors));
  datagram.notification =
      parse_notification(std::string_view(text.data(), static_cast<std::size_t>(size)));
  return datagram;
}

} // namespace ashlar::init
