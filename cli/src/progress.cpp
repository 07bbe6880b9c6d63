// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace ashlar::cli {

namespace {
constexpr std::uint64_t mib = 1024 * 1024;
constexpr std::chrono::milliseconds redraw_pause{200};
constexpr std::string_view wipe_line = "\r\x1b[K";
} // namespace

Progress::Progress(int descriptor) : descriptor_(descriptor), terminal_(isatty(descriptor) == 1) {}

void Progress::show(std::string_view stage, std::uint64_t done, std::uint64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || (stage == stage_ && now - last_ < redraw_pause))
    return;
  stage_ = stage;
  last_ = now;
  drawn_ = true;
  if (total == 0)
    write(fmt::format("{}{}", wipe_line, stage));
  else
    write(fmt::format("{}{}: {} of {} MiB ({}%)", wipe_line, stage, done / mib,
                      (total + mib - 1) / mib, done * 100 / total));
}

void Progress::clear() {
  if (drawn_)
    write(wipe_line);
  drawn_ = false;
}

void Progress::write(std::string_view text) const {
  // Progress that cannot be shown is no reason to stop.
  [[maybe_unused]] const ssize_t ignored = ::write(descriptor_, text.data(), text.size());
}

} // namespace ashlar::cli
