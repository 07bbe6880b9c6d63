// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/ipc/frame.hpp"

#include <fmt/format.h>

namespace ashlar::ipc {

namespace {

/// What a connection has at hand from its start: enough for all but a create with many signatures.
constexpr std::size_t first_input_bytes = 16u << 10;

/// A payload up to this goes out together with its header; of a larger one only what the transport
/// does not take at once is copied.
constexpr std::size_t max_copied_bytes = 16u << 10;

struct Header {
  FrameKind kind = FrameKind::control;
  std::size_t length = 0; // of the payload
};

std::size_t limit_of(FrameKind kind) {
  return kind == FrameKind::control ? max_control_bytes : max_data_bytes;
}

// The length field alone: a header that was accepted before needs no second check.
std::size_t payload_length(std::span<const std::byte> header) {
  std::size_t length = 0;
  for (std::size_t i = 4; i-- > 0;)
    length = length << 8 | std::to_integer<std::size_t>(header[i]);
  return length;
}

Result<Header> parse(std::span<const std::byte> header) {
  const char* const doing = "reading a frame";
  const auto kind = std::to_integer<unsigned>(header[4]);
  if (kind != static_cast<unsigned>(FrameKind::control) &&
      kind != static_cast<unsigned>(FrameKind::data))
    return failure(ErrorCode::invalid, doing,
                   fmt::format("kind {} is neither 1 (control) nor 2 (data)", kind));
  for (std::size_t i = 5; i < frame_header_bytes; ++i)
    if (header[i] != std::byte{0})
      return failure(ErrorCode::invalid, doing,
                     fmt::format("byte {} of the header must be zero", i));
  const Header parsed{static_cast<FrameKind>(kind), payload_length(header)};
  if (parsed.length > limit_of(parsed.kind))
    return failure(ErrorCode::limit, doing,
                   fmt::format("a payload of {} bytes is above the limit of {} bytes for this kind",
                               parsed.length, limit_of(parsed.kind)));
  return parsed;
}

std::array<std::byte, frame_header_bytes> header_of(FrameKind kind, std::size_t length) {
  std::array<std::byte, frame_header_bytes> header{};
  for (std::size_t i = 0; i < 4; ++i)
    header[i] = static_cast<std::byte>(length >> (8 * i) & 0xff);
  header[4] = static_cast<std::byte>(kind);
  return header;
}

} // namespace

FrameStream::FrameStream(Transport& transport) : transport_(transport), input_(first_input_bytes) {}

Result<bool> FrameStream::fill(std::size_t target) {
  while (filled_ < target) {
    const std::size_t count =
        TRY(transport_.read(std::span(input_).subspan(filled_, target - filled_)));
    if (count == 0)
      return false;
    filled_ += count;
  }
  return true;
}

Result<std::optional<Frame>> FrameStream::receive() {
  // A whole frame in the buffer is the one that the last call returned.
  if (filled_ >= frame_header_bytes && filled_ == frame_header_bytes + payload_length(input_))
    filled_ = 0;
  if (!TRY(fill(frame_header_bytes)))
    return std::nullopt;
  const Header header = TRY(parse(std::span(input_).first(frame_header_bytes)));
  const std::size_t whole = frame_header_bytes + header.length;
  // Large frames come in numbers or not at all: grow once, to the largest that there can be.
  if (whole > input_.size())
    input_.resize(frame_header_bytes + max_data_bytes);
  if (!TRY(fill(whole)))
    return std::nullopt;
  return Frame{header.kind, std::span(input_).subspan(frame_header_bytes, header.length)};
}

Status FrameStream::send(FrameKind kind, std::span<const std::byte> payload) {
  if (payload.size() > limit_of(kind))
    return failure(ErrorCode::limit, "sending a frame",
                   fmt::format("a payload of {} bytes is above the limit of {} bytes",
                               payload.size(), limit_of(kind)));
  if (queued_bytes() + frame_header_bytes + payload.size() > max_queued_bytes)
    return failure(ErrorCode::limit, "sending a frame",
                   fmt::format("the peer does not read: {} bytes wait for it, the limit is {}",
                               queued_bytes(), max_queued_bytes));
  const auto header = header_of(kind, payload.size());
  output_.insert(output_.end(), header.begin(), header.end());
  if (payload.size() > max_copied_bytes) {
    TRY(flush());
    if (output_.empty())
      payload = payload.subspan(TRY(transport_.write(payload)));
  }
  output_.insert(output_.end(), payload.begin(), payload.end());
  return flush();
}

Status FrameStream::flush() {
  while (sent_ < output_.size()) {
    const std::size_t count = TRY(transport_.write(std::span(output_).subspan(sent_)));
    if (count == 0)
      break;
    sent_ += count;
  }
  // Dropping what is sent only when it is the larger part keeps the copying linear, and the buffer
  // below twice the queue's limit.
  if (sent_ * 2 >= output_.size()) {
    output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(sent_));
    sent_ = 0;
  }
  return {};
}

std::size_t FrameStream::queued_bytes() const {
  return output_.size() - sent_;
}

} // namespace ashlar::ipc
