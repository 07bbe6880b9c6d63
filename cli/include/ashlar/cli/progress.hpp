// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace ashlar::cli {

/// One line on a terminal that says how far things are; elsewhere it stays silent.
class Progress {
public:
  /// Shows on `descriptor` when that is a terminal.
  explicit Progress(int descriptor);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { clear(); }

  /// "STAGE: 12 of 50 MiB (24%)"; a total of 0 shows the stage alone. Redraws a few times a second.
  void show(std::string_view stage, std::uint64_t done, std::uint64_t total);
  /// Wipes the line, so that what is printed next starts clean.
  void clear();

private:
  void write(std::string_view text) const;

  int descriptor_;
  bool terminal_;
  bool drawn_ = false;
  std::string stage_;
  std::chrono::steady_clock::time_point last_{};
};

} // namespace ashlar::cli
