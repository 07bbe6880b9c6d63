// SPDX-License-Identifier: LGPL-2.1-or-later
// How both reports carry an Error (u8 0 first) and a yes or no.
#pragma once

#include "ashlar/base/wire.hpp"

namespace ashlar::inspector {

void write_error(WireWriter& writer, const Error& error);
[[nodiscard]] Error read_error(WireReader& reader);
[[nodiscard]] bool read_flag(WireReader& reader);
/// One byte that names a value of an enumeration with the values `first` to `last`.
template <typename Enum>
[[nodiscard]] Enum read_enum(WireReader& reader, Enum first, Enum last, const char* name) {
  const std::uint8_t value = reader.u8();
  if (value >= static_cast<std::uint8_t>(first) && value <= static_cast<std::uint8_t>(last))
    return static_cast<Enum>(value);
  reader.reject(std::string(name) + " is unknown");
  return first;
}

} // namespace ashlar::inspector
