// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "ashlar/base/allowance.hpp"
#include "ashlar/base/log.hpp"

namespace ashlar::broker {

/// What is logged of one peer's requests, over all of its connections. A peer that floods must not
/// drive everybody else's lines out of the log (journald cuts off a service, not a requester), nor
/// keep the broker busy with writing to a slow console.
class PeerLog {
public:
  PeerLog(std::string peer, Allowance::Time now);
  /// Writes a line, or counts it where the peer has caused too many; that it does so is logged
  /// once, and how many there were before the next line. Control characters are escaped.
  void write(log::Level level, std::string_view text, Allowance::Time now);
  /// Nothing would be lost if this were made anew.
  [[nodiscard]] bool idle(Allowance::Time now) const;

private:
  std::string peer_; // "domain 3" or "uid 1000"
  Allowance allowance_;
  std::uint64_t left_out_ = 0; // lines
};

} // namespace ashlar::broker
