// SPDX-License-Identifier: LGPL-2.1-or-later
#include "big_endian.hpp"

#include <fmt/format.h>

#include "ashlar/evidence/limits.hpp"

namespace ashlar::evidence {

std::vector<std::byte> BigEndianReader::raw(std::size_t size) {
  if (size > bytes_.size())
    reject("it is cut off");
  if (!good())
    return {};
  const std::span<const std::byte> taken = bytes_.first(size);
  bytes_ = bytes_.subspan(size);
  return {taken.begin(), taken.end()};
}

std::uint64_t BigEndianReader::number(std::size_t width) {
  std::uint64_t value = 0;
  for (const std::byte byte : raw(width))
    value = value << 8 | std::to_integer<std::uint64_t>(byte);
  return value;
}

std::vector<std::byte> BigEndianReader::sized() {
  const std::uint16_t size = u16();
  if (size > max_tpm_field_bytes)
    reject(fmt::format("a field has {} bytes, above the limit of {}", size, max_tpm_field_bytes));
  return raw(size);
}

void BigEndianReader::reject(std::string why) {
  if (good())
    why_ = std::move(why);
}

Status BigEndianReader::end(const std::string& what) const {
  if (!good())
    return failure(ErrorCode::invalid, "reading " + what, why_);
  if (!bytes_.empty())
    return failure(ErrorCode::invalid, "reading " + what,
                   fmt::format("{} bytes stand behind its end", bytes_.size()));
  return {};
}

} // namespace ashlar::evidence
