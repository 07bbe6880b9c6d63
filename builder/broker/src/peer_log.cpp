// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/peer_log.hpp"

#include "ashlar/broker/limits.hpp"

namespace ashlar::broker {

PeerLog::PeerLog(std::string peer, Allowance::Time now)
    : peer_(std::move(peer)), allowance_(peer_log_burst, peer_log_pause, now) {}

void PeerLog::write(log::Level level, std::string_view text, Allowance::Time now) {
  if (!allowance_.take(now)) {
    if (left_out_++ == 0)
      log::warning("{} causes more lines than are logged: some are left out", peer_);
    return;
  }
  if (const std::uint64_t count = std::exchange(left_out_, 0); count != 0)
    log::warning("{}: {} lines were left out", peer_, count);
  log::write(level, text);
}

bool PeerLog::idle(Allowance::Time now) const {
  return left_out_ == 0 && allowance_.full(now);
}

} // namespace ashlar::broker
