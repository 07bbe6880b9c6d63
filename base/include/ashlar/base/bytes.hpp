// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ashlar {

/// The bytes of a text, without a terminating NUL.
[[nodiscard]] inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Lower-case hexadecimal, two digits a byte.
[[nodiscard]] std::string to_hex(std::span<const std::byte> bytes);

/// Reads an even number of hexadecimal digits of either case; anything else gives nothing.
[[nodiscard]] std::optional<std::vector<std::byte>> from_hex(std::string_view text);

/// Makes untrusted text fit for a log line or a terminal: bytes outside printable ASCII (and the
/// backslash) become \xNN, and at most `limit` characters are kept ("…" marks the cut).
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 256);

} // namespace ashlar
