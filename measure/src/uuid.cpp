// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/record.hpp"

namespace ashlar::measure {

namespace {
constexpr std::array<std::size_t, 4> dash_positions = {8, 13, 18, 23};
constexpr std::size_t uuid_text_size = 36;
} // namespace

std::string to_string(const Uuid& uuid) {
  std::string text = to_hex(uuid);
  for (const std::size_t position : dash_positions)
    text.insert(position, 1, '-');
  return text;
}

Result<Uuid> uuid_from_text(std::string_view text) {
  std::string digits(text);
  bool well_formed = text.size() == uuid_text_size;
  // From the last to the first, so that a removal does not move the dashes that are still to come.
  for (std::size_t i = dash_positions.size(); well_formed && i-- > 0;) {
    well_formed = digits[dash_positions[i]] == '-';
    digits.erase(dash_positions[i], 1);
  }
  const auto bytes = from_hex(digits);
  Uuid uuid{};
  if (!well_formed || !bytes || bytes->size() != uuid.size())
    return failure(ErrorCode::invalid, "reading a UUID",
                   fmt::format("\"{}\" is not 8-4-4-4-12 hexadecimal digits, such as "
                               "6a0e5a44-2f4e-4b0e-9d57-0c5f6f7a1b11",
                               printable(text, 40)));
  std::ranges::copy(*bytes, uuid.begin());
  return uuid;
}

} // namespace ashlar::measure
