// SPDX-License-Identifier: LGPL-2.1-or-later
// Frames: how messages and image bytes share one byte stream.
//
//   offset 0  u32 little-endian  payload length in bytes, at most the kind's limit
//   offset 4  u8                 kind: 1 control (one protobuf message), 2 data (image bytes)
//   offset 5  3 bytes            zero
//   offset 8  payload
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/transport.hpp"

namespace ashlar::ipc {

enum class FrameKind : std::uint8_t { control = 1, data = 2 };

inline constexpr std::size_t frame_header_bytes = 8;
/// Largest encoded control message. ashlar.options keeps every message below it.
inline constexpr std::size_t max_control_bytes = 64u << 10;
/// Largest data payload: one read, one hash pass and one write of the builder.
inline constexpr std::size_t max_data_bytes = 256u << 10;
/// Output that may wait for a slow peer before its connection is closed.
inline constexpr std::size_t max_queued_bytes = 1u << 20;

struct Frame {
  FrameKind kind = FrameKind::control;
  std::span<const std::byte> payload; // valid until the next call on its FrameStream
};

/// Cuts a Transport's byte stream into frames, and queues frames for sending. Never blocks.
class FrameStream {
public:
  explicit FrameStream(Transport& transport);

  /// Reads from the transport until one frame is complete. Nothing: not yet complete.
  /// Errors: invalid (unknown kind, padding not zero), limit (length), peer_closed, io. After an
  /// error the stream is out of step: close it.
  [[nodiscard]] Result<std::optional<Frame>> receive();

  /// Queues one frame and sends what fits. Errors: limit (payload too large, or more than
  /// max_queued_bytes would wait), peer_closed, io.
  [[nodiscard]] Status send(FrameKind kind, std::span<const std::byte> payload);

  /// Sends more of what is queued. Errors: peer_closed, io.
  [[nodiscard]] Status flush();

  /// Bytes that wait for room.
  [[nodiscard]] std::size_t queued_bytes() const;

private:
  /// Reads until `target` bytes of the frame are there; false when the transport has no more now.
  [[nodiscard]] Result<bool> fill(std::size_t target);

  Transport& transport_;
  std::vector<std::byte> input_; // header + payload of the frame being read
  std::size_t filled_ = 0;
  std::vector<std::byte> output_;
  std::size_t sent_ = 0;
};

} // namespace ashlar::ipc
