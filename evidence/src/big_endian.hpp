// SPDX-License-Identifier: LGPL-2.1-or-later
// Bounds-checked reading of the TPM's own structures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::evidence {

/// Reads big-endian values. After the first value that is not there, every further read gives
/// zeros and end() fails: check once, at the end.
class BigEndianReader {
public:
  explicit BigEndianReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  [[nodiscard]] std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  [[nodiscard]] std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  [[nodiscard]] std::uint64_t u64() { return number(8); }
  /// A TPM2B: u16 size, then so many bytes, at most max_tpm_field_bytes.
  [[nodiscard]] std::vector<std::byte> sized();
  [[nodiscard]] std::vector<std::byte> raw(std::size_t size);
  /// Marks the input as bad: for values that are read well but not valid.
  void reject(std::string why);
  [[nodiscard]] bool good() const { return why_.empty(); }

  /// All read well and nothing left over. Errors: invalid, with `what` in it.
  [[nodiscard]] Status end(const std::string& what) const;

private:
  std::uint64_t number(std::size_t width);
  std::span<const std::byte> bytes_;
  std::string why_;
};

} // namespace ashlar::evidence
