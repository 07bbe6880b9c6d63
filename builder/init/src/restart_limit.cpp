// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/restart_limit.hpp"

namespace ashlar::init {

bool RestartLimit::allow(std::int64_t now_ms) {
  while (!restarts_.empty() && now_ms - restarts_.front() >= restart_window_ms)
    restarts_.pop_front();
  if (restarts_.size() >= max_restarts)
    return false;
  restarts_.push_back(now_ms);
  return true;
}

} // namespace ashlar::init
