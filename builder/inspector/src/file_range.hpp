// SPDX-License-Identifier: LGPL-2.1-or-later
// A piece of a file that is known to lie inside it: to hold a FileRange is to have done the check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ashlar/base/result.hpp"

namespace ashlar::inspector {

class FileRange {
public:
  FileRange() = default;

  /// Bytes [offset, offset + size) of `file`. `item` names the piece in the error.
  /// Errors: invalid when any of it lies outside the file, also when offset + size wraps.
  [[nodiscard]] static Result<FileRange> within(std::span<const std::byte> file,
                                                std::uint64_t offset, std::uint64_t size,
                                                std::string_view item);

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

  /// Little-endian value at byte `at` of the range. Reading outside the range is a bug of the
  /// caller, not of the input, and ends the process.
  [[nodiscard]] std::uint8_t u8(std::size_t at) const;
  [[nodiscard]] std::uint16_t u16(std::size_t at) const;
  [[nodiscard]] std::uint32_t u32(std::size_t at) const;
  [[nodiscard]] std::uint64_t u64(std::size_t at) const;

private:
  FileRange(std::span<const std::byte> bytes, std::uint64_t offset)
      : bytes_(bytes), offset_(offset) {}
  [[nodiscard]] std::uint64_t little_endian(std::size_t at, std::size_t width) const;

  std::span<const std::byte> bytes_;
  std::uint64_t offset_ = 0;
};

} // namespace ashlar::inspector
