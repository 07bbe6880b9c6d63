// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/base/wire.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"

namespace ashlar {

void WireWriter::u8(std::uint8_t value) {
  bytes_.push_back(std::byte{value});
}

void WireWriter::u32(std::uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8)
    bytes_.push_back(static_cast<std::byte>(value >> shift));
}

void WireWriter::u64(std::uint64_t value) {
  for (unsigned shift = 0; shift < 64; shift += 8)
    bytes_.push_back(static_cast<std::byte>(value >> shift));
}

void WireWriter::raw(std::span<const std::byte> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void WireWriter::text(std::string_view text) {
  u32(static_cast<std::uint32_t>(text.size()));
  raw(as_bytes(text));
}

std::uint64_t WireReader::little_endian(std::size_t width) {
  if (good() && bytes_.size() - at_ < width)
    reject(fmt::format("it ends at byte {}, in the middle of a value", bytes_.size()));
  if (!good())
    return 0;
  std::uint64_t value = 0;
  for (std::size_t i = width; i-- > 0;)
    value = (value << 8) | std::to_integer<std::uint64_t>(bytes_[at_ + i]);
  at_ += width;
  return value;
}

std::uint8_t WireReader::u8() {
  return static_cast<std::uint8_t>(little_endian(1));
}
std::uint32_t WireReader::u32() {
  return static_cast<std::uint32_t>(little_endian(4));
}
std::uint64_t WireReader::u64() {
  return little_endian(8);
}

void WireReader::raw(std::span<std::byte> out) {
  if (good() && bytes_.size() - at_ < out.size())
    reject(fmt::format("it ends at byte {}, in the middle of a value", bytes_.size()));
  if (!good()) {
    std::ranges::fill(out, std::byte{0});
    return;
  }
  std::ranges::copy(bytes_.subspan(at_, out.size()), out.begin());
  at_ += out.size();
}

std::string WireReader::text(std::size_t limit) {
  const std::uint32_t length = u32();
  if (good() && length > limit)
    reject(fmt::format("a text of {} bytes is longer than {} bytes", length, limit));
  if (good() && bytes_.size() - at_ < length)
    reject(fmt::format("it ends at byte {}, in the middle of a text", bytes_.size()));
  if (!good())
    return {};
  std::string text(length, '\0');
  raw(std::as_writable_bytes(std::span(text)));
  return text;
}

void WireReader::reject(std::string why) {
  if (good())
    why_ = std::move(why);
}

Status WireReader::end(const std::string& what) const {
  if (!good())
    return failure(ErrorCode::invalid, "reading " + what, why_);
  if (at_ != bytes_.size())
    return failure(ErrorCode::invalid, "reading " + what,
                   fmt::format("{} bytes follow its end", bytes_.size() - at_));
  return {};
}

} // namespace ashlar
