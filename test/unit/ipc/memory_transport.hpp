// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "ashlar/ipc/transport.hpp"

namespace ashlar::ipc {

/// A transport without a peer: what it gives and how much it takes is set by the test.
class MemoryTransport final : public Transport {
public:
  std::deque<std::byte> incoming;
  std::vector<std::byte> outgoing;
  std::size_t readable = SIZE_MAX; // bytes that may be read before "nothing there now"
  std::size_t room = SIZE_MAX;     // bytes that may be written before "no room now"
  bool closed = false;             // after the incoming bytes: peer_closed

  [[nodiscard]] TransportPeer peer() const override { return UnixPeer{}; }
  [[nodiscard]] int descriptor() const override { return -1; }
  [[nodiscard]] bool polls_for_room() const override { return false; }
  void acknowledge() override {}

  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> buffer) override {
    const std::size_t count = std::min({buffer.size(), incoming.size(), readable});
    if (count == 0 && closed && incoming.empty())
      return failure(ErrorCode::peer_closed, "reading", "closed");
    std::copy_n(incoming.begin(), count, buffer.begin());
    incoming.erase(incoming.begin(), incoming.begin() + static_cast<std::ptrdiff_t>(count));
    readable -= count;
    return count;
  }

  [[nodiscard]] Result<std::size_t> write(std::span<const std::byte> bytes) override {
    const std::size_t count = std::min(bytes.size(), room);
    outgoing.insert(outgoing.end(), bytes.begin(),
                    bytes.begin() + static_cast<std::ptrdiff_t>(count));
    room -= count;
    return count;
  }

  void feed(std::span<const std::byte> bytes) {
    incoming.insert(incoming.end(), bytes.begin(), bytes.end());
  }
};

} // namespace ashlar::ipc
