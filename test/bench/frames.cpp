// SPDX-License-Identifier: LGPL-2.1-or-later
// Frames over a Unix socket, there and back in one thread, against the same bytes by read(2) and
// write(2) alone.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "ashlar/base/unique_fd.hpp"
#include "ashlar/ipc/frame.hpp"
#include "ashlar/ipc/unix_socket.hpp"
#include "bench.hpp"
#include "temporary_directory.hpp"

namespace ashlar::bench {

namespace {

constexpr std::size_t control_bytes = 200; // a small request

struct Connection {
  std::unique_ptr<ipc::Transport> near;
  std::unique_ptr<ipc::Transport> far;
};

Result<Connection> connect() {
  const TemporaryDirectory directory = TRY(TemporaryDirectory::create());
  const std::string path = directory.path() + "/socket";
  ipc::UnixListener listener = TRY(ipc::UnixListener::bind(path));
  Connection connection;
  connection.near = TRY(ipc::connect_unix(path));
  connection.far = TRY(listener.accept());
  if (!connection.far)
    return failure(ErrorCode::io, "accepting on " + path, "no connection waits");
  return connection;
}

/// One frame through the socket; what does not fit at once is sent on as the reader makes room.
Result<ipc::Frame> pass(ipc::FrameStream& from, ipc::FrameStream& to, ipc::FrameKind kind,
                        std::span<const std::byte> payload) {
  TRY(from.send(kind, payload));
  for (;;) {
    const std::optional<ipc::Frame> frame = TRY(to.receive());
    if (frame)
      return *frame;
    TRY(from.flush());
  }
}

void frames(benchmark::State& state, ipc::FrameKind kind, std::size_t bytes) {
  const std::vector<std::byte> payload(bytes, std::byte{0x5a});
  const Result<Connection> connection = connect();
  if (!succeeded(state, connection))
    return;
  ipc::FrameStream near(*connection->near);
  ipc::FrameStream far(*connection->far);
  for (auto _ : state)
    if (!succeeded(state, pass(near, far, kind, payload)) ||
        !succeeded(state, pass(far, near, kind, payload)))
      return;
}

/// What read(2) or write(2) moved: nothing where it would have to wait.
Result<std::size_t> moved(ssize_t count, const char* doing) {
  if (count >= 0)
    return static_cast<std::size_t>(count);
  if (errno == EAGAIN)
    return 0;
  return errno_failure(doing);
}

Status pass_raw(int from, int to, std::span<std::byte> bytes) {
  std::size_t sent = 0;
  std::size_t received = 0;
  while (received < bytes.size()) {
    if (sent < bytes.size())
      sent += TRY(moved(write(from, bytes.data() + sent, bytes.size() - sent), "writing"));
    received += TRY(moved(read(to, bytes.data() + received, bytes.size() - received), "reading"));
  }
  return {};
}

void raw(benchmark::State& state, std::size_t bytes) {
  std::vector<std::byte> payload(ipc::frame_header_bytes + bytes, std::byte{0x5a});
  std::array<int, 2> ends = {};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    state.SkipWithError("socketpair failed");
    return;
  }
  const UniqueFd near(ends[0]);
  const UniqueFd far(ends[1]);
  for (auto _ : state)
    if (!succeeded(state, pass_raw(near.value(), far.value(), payload)) ||
        !succeeded(state, pass_raw(far.value(), near.value(), payload)))
      return;
}

BENCHMARK_CAPTURE(frames, control, ipc::FrameKind::control, control_bytes)
    ->Name("control_round_trip/ashlar");
BENCHMARK_CAPTURE(raw, control, control_bytes)->Name("control_round_trip/peer");
BENCHMARK_CAPTURE(frames, data, ipc::FrameKind::data, chunk_bytes)->Name("data_round_trip/ashlar");
BENCHMARK_CAPTURE(raw, data, chunk_bytes)->Name("data_round_trip/peer");

} // namespace

} // namespace ashlar::bench
