// SPDX-License-Identifier: LGPL-2.1-or-later
// A byte stream to a peer whose identity the transport vouches for: vchan or Unix socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

#include "ashlar/base/result.hpp"

namespace ashlar::ipc {

/// Who is at the other end: from the hypervisor or the kernel, never from a message.
struct VchanPeer {
  std::uint32_t domid = 0;
};
struct UnixPeer {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int32_t pid = 0;
};
using TransportPeer = std::variant<VchanPeer, UnixPeer>;

/// One connection. Never blocks: read and write take what is possible now, possibly 0 bytes.
class Transport {
public:
  virtual ~Transport() = default;

  [[nodiscard]] virtual TransportPeer peer() const = 0;

  /// A descriptor for poll(2). It becomes readable when there may be something to read *or* (vchan:
  /// one event channel serves both directions) room to write: try both after each wake-up.
  [[nodiscard]] virtual int descriptor() const = 0;

  /// True when poll should also wait for POLLOUT on descriptor() to learn of room (Unix socket).
  [[nodiscard]] virtual bool polls_for_room() const = 0;

  /// To be called once after each wake-up of descriptor(), before read or write (vchan: takes the
  /// pending event).
  virtual void acknowledge() = 0;

  /// Copies up to buffer.size() bytes out of the transport. 0: nothing there now.
  /// Errors: peer_closed (all that was sent has been read), io.
  [[nodiscard]] virtual Result<std::size_t> read(std::span<std::byte> buffer) = 0;

  /// Takes up to bytes.size() bytes. 0: no room now. Errors: peer_closed, io.
  [[nodiscard]] virtual Result<std::size_t> write(std::span<const std::byte> bytes) = 0;
};

} // namespace ashlar::ipc
