// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace ashlar {

/// How often something may be asked for: `burst` times at once, and once more after each `pause`.
/// Knows no clock: the caller says what time it is, from a clock that never goes back.
class Allowance {
public:
  using Time = std::chrono::steady_clock::time_point;
  Allowance(std::uint32_t burst, std::chrono::milliseconds pause, Time now)
      : burst_(burst), pause_(pause), left_(burst), since_(now) {}

  /// Takes one, if there is one.
  [[nodiscard]] bool take(Time now) {
    const auto earned = std::max<std::int64_t>(0, (now - since_) / pause_);
    left_ = static_cast<std::uint32_t>(std::min<std::int64_t>(burst_, left_ + earned));
    since_ += earned * pause_;
    if (left_ == 0)
      return false;
    --left_;
    return true;
  }
  /// Nothing of it is in use.
  [[nodiscard]] bool full(Time now) const {
    return left_ + std::max<std::int64_t>(0, (now - since_) / pause_) >= burst_;
  }

private:
  std::uint32_t burst_;
  std::chrono::milliseconds pause_;
  std::uint32_t left_;
  Time since_;
};

} // namespace ashlar
