// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

namespace ashlar::init {

/// How often a service may be restarted before the appliance gives up: a builder that ends again
/// and again would otherwise keep guests without one while the machine looks alive.
inline constexpr std::size_t max_restarts = 10;
inline constexpr std::int64_t restart_window_ms = 60'000;

class RestartLimit {
public:
  /// Notes a restart at `now_ms` (monotonic). False: there were max_restarts within the window
  /// before it, so it must not be done.
  [[nodiscard]] bool allow(std::int64_t now_ms);

private:
  std::deque<std::int64_t> restarts_;
};

} // namespace ashlar::init
