// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "ashlar/base/allowance.hpp"
#include "ashlar/measure/record.hpp"

namespace ashlar::broker {

/// How often guests may be restarted. Each restart takes a record, and the machine's log of records
/// never shrinks: a guest that loops must not fill it for all others.
class RestartLimit {
public:
  /// Why this guest, which ran for so long, may not be restarted now, as the end of a sentence
  /// about it; empty: it may, and this one is counted.
  [[nodiscard]] std::string refuse(const measure::Uuid& guest, std::chrono::seconds uptime,
                                   Allowance::Time now);

private:
  std::map<measure::Uuid, Allowance> guests_; // that were restarted lately
};

} // namespace ashlar::broker
