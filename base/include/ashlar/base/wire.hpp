// SPDX-License-Identifier: LGPL-2.1-or-later
// Bounds-checked little-endian encoding for Ashlar's own small formats (records, journal, the plan
// and report between the builder's processes). One value has one encoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar {

/// Appends values to a byte vector.
class WireWriter {
public:
  void u8(std::uint8_t value);
  void u32(std::uint32_t value);
  void u64(std::uint64_t value);
  /// The bytes as they are: both ends know how many.
  void raw(std::span<const std::byte> bytes);
  /// u32 length, then the bytes.
  void text(std::string_view text);

  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

private:
  std::vector<std::byte> bytes_;
};

/// Reads what WireWriter wrote. After the first value that is not there or too long, every further
/// read gives zeros and end() fails: check once, at the end.
class WireReader {
public:
  explicit WireReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] std::uint8_t u8();
  [[nodiscard]] std::uint32_t u32();
  [[nodiscard]] std::uint64_t u64();
  /// Fills `out` completely.
  void raw(std::span<std::byte> out);
  /// A text of at most `limit` bytes.
  [[nodiscard]] std::string text(std::size_t limit);
  /// Marks the input as bad: for values that are read well but not valid.
  void reject(std::string why);
  [[nodiscard]] bool good() const { return why_.empty(); }
  /// Is nothing left to read? For inputs that are a list without a count.
  [[nodiscard]] bool at_end() const { return at_ == bytes_.size(); }

  /// All read well and nothing left over. Errors: invalid, with `what` in it.
  [[nodiscard]] Status end(const std::string& what) const;

private:
  std::uint64_t little_endian(std::size_t width);
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  std::string why_;
};

} // namespace ashlar
