// SPDX-License-Identifier: LGPL-2.1-or-later
// Numbers as TPM messages have them: the highest byte first.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace ashlar::tpm {

template <typename Number>
void put_big_endian(std::vector<std::byte>& out, Number value) {
  for (std::size_t i = sizeof value; i-- > 0;)
    out.push_back(static_cast<std::byte>(value >> (8 * i)));
}

/// The number at `offset`; the caller has checked that it is there.
template <typename Number>
Number get_big_endian(std::span<const std::byte> bytes, std::size_t offset) {
  Number value = 0;
  for (const std::byte byte : bytes.subspan(offset, sizeof value))
    value = static_cast<Number>((value << 8) | std::to_integer<Number>(byte));
  return value;
}

} // namespace ashlar::tpm
