// SPDX-License-Identifier: LGPL-2.1-or-later
#include "file_range.hpp"

#include <cstdlib>

#include <fmt/format.h>

namespace ashlar::inspector {

Result<FileRange> FileRange::within(std::span<const std::byte> file, std::uint64_t offset,
                                    std::uint64_t size, std::string_view item) {
  // Written so that no sum can wrap.
  if (offset > file.size() || size > file.size() - offset)
    return failure(
        ErrorCode::invalid, fmt::format("locating {}", item),
        fmt::format("{} bytes at byte {} do not lie within the file ({} bytes): is it cut off?",
                    size, offset, file.size()));
  return FileRange(file.subspan(offset, size), offset);
}

std::uint64_t FileRange::little_endian(std::size_t at, std::size_t width) const {
  if (at > bytes_.size() || width > bytes_.size() - at) [[unlikely]]
    std::abort();
  std::uint64_t value = 0;
  for (std::size_t i = width; i-- > 0;)
    value = (value << 8) | std::to_integer<std::uint64_t>(bytes_[at + i]);
  return value;
}

std::uint8_t FileRange::u8(std::size_t at) const {
  return static_cast<std::uint8_t>(little_endian(at, 1));
}
std::uint16_t FileRange::u16(std::size_t at) const {
  return static_cast<std::uint16_t>(little_endian(at, 2));
}
std::uint32_t FileRange::u32(std::size_t at) const {
  return static_cast<std::uint32_t>(little_endian(at, 4));
}
std::uint64_t FileRange::u64(std::size_t at) const {
  return little_endian(at, 8);
}

} // namespace ashlar::inspector
