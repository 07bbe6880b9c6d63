// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/base/log.hpp"

#include <unistd.h>

#include "ashlar/base/bytes.hpp"

namespace ashlar::log {

namespace {
std::string program_name = "ashlar";
Level threshold = Level::info;
constexpr std::size_t line_limit = 2000; // characters; what a requester sends cannot flood the log
} // namespace

void start(std::string_view program, Level least_severe) {
  program_name = program;
  threshold = least_severe;
}

void write(Level level, std::string_view text) {
  if (level > threshold)
    return;
  std::string line;
  for (const char c : text) {
    if (line.size() >= line_limit) {
      line += "…";
      break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f)
      line += fmt::format("\\x{:02x}", byte);
    else
      line.push_back(c);
  }
  line = fmt::format("<{}>{}: {}\n", static_cast<int>(level), program_name, line);
  // A log that cannot be written must not stop the service.
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, line.data(), line.size());
}

} // namespace ashlar::log
