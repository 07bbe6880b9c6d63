// SPDX-License-Identifier: LGPL-2.1-or-later
// For programs only: libraries return errors and do not log.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace ashlar::log {

/// Syslog levels, as the "<N>" prefix that journald reads from stderr (sd-daemon(3)).
enum class Level { error = 3, warning = 4, notice = 5, info = 6, debug = 7 };

/// Sets the name that follows the level on each line, and the least severe level that is written.
void start(std::string_view program, Level least_severe = Level::info);

/// Writes one line with one write(2). Control characters in `text` are escaped: text that a
/// requester chose cannot forge a second line.
void write(Level level, std::string_view text);

template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void notice(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::notice, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}

} // namespace ashlar::log
