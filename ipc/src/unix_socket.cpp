// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/ipc/unix_socket.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace ashlar::ipc {

namespace {

// Connections that may wait for accept: more would only be made to wait longer.
constexpr int backlog = 16;
constexpr mode_t open_to_all = 0666;

class UnixTransport final : public Transport {
public:
  UnixTransport(UniqueFd fd, UnixPeer peer) : fd_(std::move(fd)), peer_(peer) {}

  [[nodiscard]] TransportPeer peer() const override { return peer_; }
  [[nodiscard]] int descriptor() const override { return fd_.value(); }
  [[nodiscard]] bool polls_for_room() const override { return true; }
  void acknowledge() override {} // a socket's readiness needs no answer

  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> buffer) override {
    if (buffer.empty())
      return 0U;
    const ssize_t count = recv(fd_.value(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count > 0)
      return static_cast<std::size_t>(count);
    if (count == 0)
      return failure(ErrorCode::peer_closed, "reading from the Unix socket",
                     "the other end closed the connection");
    if (errno == EAGAIN || errno == EINTR)
      return 0U;
    return errno_failure("reading from the Unix socket");
  }

  [[nodiscard]] Result<std::size_t> write(std::span<const std::byte> bytes) override {
    if (bytes.empty())
      return 0U;
    const ssize_t count =
        ::send(fd_.value(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0)
      return static_cast<std::size_t>(count);
    if (errno == EAGAIN || errno == EINTR)
      return 0U;
    return errno_failure("writing to the Unix socket");
  }

private:
  UniqueFd fd_;
  UnixPeer peer_;
};

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return failure(ErrorCode::limit, "naming the Unix socket " + path,
                   fmt::format("a socket's path has 1 to {} bytes, this one {}",
                               sizeof address.sun_path - 1, path.size()));
  path.copy(address.sun_path, path.size());
  return address;
}

// connect(2) and bind(2) take the general address type.
const sockaddr* general(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

Result<UniqueFd> new_socket() {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd)
    return errno_failure("creating a Unix socket");
  return fd;
}

Result<std::unique_ptr<Transport>> make_transport(UniqueFd fd) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(fd.value(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
    return errno_failure("asking the kernel who is at the other end of a Unix socket");
  const UnixPeer peer{credentials.uid, credentials.gid, credentials.pid};
  return std::make_unique<UnixTransport>(std::move(fd), peer);
}

// Removes the socket that a builder which is gone left behind; refuses to take over anything else.
Status remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info = {};
  if (lstat(path.c_str(), &info) != 0)
    return errno == ENOENT ? Status{} : errno_failure("looking at " + path);
  if (!S_ISSOCK(info.st_mode))
    return failure(ErrorCode::exists, "listening on " + path,
                   "there is a file of that name which is not a socket: remove it first");
  const UniqueFd probe = TRY(new_socket());
  if (connect(probe.value(), general(address), sizeof address) == 0 || errno == EAGAIN)
    return failure(ErrorCode::exists, "listening on " + path,
                   "another process answers there: stop it first");
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return errno_failure("removing the stale socket " + path);
  return {};
}

} // namespace

Result<UnixListener> UnixListener::bind(const std::string& path) {
  const sockaddr_un address = TRY(address_of(path));
  TRY(remove_stale(path, address));
  UniqueFd fd = TRY(new_socket());
  if (::bind(fd.value(), general(address), sizeof address) != 0)
    return errno_failure("binding the Unix socket " + path);
  if (chmod(path.c_str(), open_to_all) != 0)
    return errno_failure("opening the Unix socket " + path + " to all users");
  if (listen(fd.value(), backlog) != 0)
    return errno_failure("listening on " + path);
  return UnixListener(std::move(fd));
}

Result<std::unique_ptr<Transport>> UnixListener::accept() {
  UniqueFd fd(accept4(fd_.value(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (fd)
    return make_transport(std::move(fd));
  if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
    return std::unique_ptr<Transport>{};
  return errno_failure("accepting a connection on the Unix socket");
}

Result<std::unique_ptr<Transport>> connect_unix(const std::string& path) {
  const sockaddr_un address = TRY(address_of(path));
  UniqueFd fd = TRY(new_socket());
  if (connect(fd.value(), general(address), sizeof address) == 0)
    return make_transport(std::move(fd));
  const std::string doing = "connecting to the builder at " + path;
  if (errno == ENOENT || errno == ECONNREFUSED)
    return failure(ErrorCode::not_found, doing, "nobody listens there; is ashlar-builder running?",
                   errno);
  if (errno == EAGAIN)
    return failure(ErrorCode::busy, doing, "too many connections wait there already; try again");
  return errno_failure(doing);
}

} // namespace ashlar::ipc
