// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/restart_limit.hpp"

#include <fmt/format.h>

#include "ashlar/broker/limits.hpp"

namespace ashlar::broker {

std::string RestartLimit::refuse(const measure::Uuid& guest, std::chrono::seconds uptime,
                                 Allowance::Time now) {
  if (uptime < min_uptime_for_restart)
    return fmt::format("asked for a restart only {} s after its start", uptime.count());
  std::erase_if(guests_, [now](const auto& entry) { return entry.second.full(now); });
  const auto found = guests_.try_emplace(guest, restart_burst, restart_pause, now).first;
  if (found->second.take(now))
    return {};
  return fmt::format("was restarted too often: a guest may be {} times in a row, and once more "
                     "for each {} min",
                     restart_burst, restart_pause.count());
}

} // namespace ashlar::broker
