// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ashlar::init {

/// Longest line that the relay passes on; the rest follows as a line of its own.
inline constexpr std::size_t max_relay_line = std::size_t{64} << 10; // bytes

/// Copies a growing console log to init's own console, line by line. Each line starts with "NAME| "
/// and carries no control characters, so that a domain cannot forge lines of the appliance or of
/// Xen.
class Relay {
public:
  Relay(std::string name, std::string path) : name_(std::move(name)), path_(std::move(path)) {}

  /// What the log got since the last call, as complete lines ready to be written. A log that is not
  /// there yet gives nothing; one that was cut is read from its new end.
  [[nodiscard]] std::string next_lines();

private:
  void take(std::string_view text, std::string& out);
  void end_line(std::string& out);

  std::string name_;
  std::string path_;
  std::uint64_t offset_ = 0; // bytes of the log that were read
  std::string line_;         // the incomplete last line
};

} // namespace ashlar::init
