// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>

#include "ashlar/base/result.hpp"

namespace ashlar::init {

/// A console log above this size is cut…
inline constexpr std::uint64_t max_console_log_bytes = std::uint64_t{1} << 20;
/// …to its last so many bytes.
inline constexpr std::uint64_t kept_console_log_bytes = std::uint64_t{64} << 10;

/// Above this many bytes of logs in all, the oldest are removed: a guest name more must not cost
/// memory for ever.
inline constexpr std::uint64_t max_all_console_log_bytes = std::uint64_t{32} << 20;

/// Cuts each regular file of `directory` that is above the limit. xenconsoled appends with O_APPEND
/// and goes on at the new end; what it writes during the cut itself may be lost. Then removes the
/// least recently written logs until all are within their limit. Errors: io, of the first file that
/// failed; the others are seen to all the same.
[[nodiscard]] Status cap_console_logs(const std::string& directory);

} // namespace ashlar::init
