// SPDX-License-Identifier: LGPL-2.1-or-later
// "disks" and "nics" in [rule.guest].
#pragma once

#include <vector>

#include "fields.hpp"
#include "model.hpp"

namespace ashlar::policy {

/// Reads the key "disks": the string "any", or up to max_device_entries tables. `fields` is the
/// [rule.guest] of an allow or a deny rule. What is wrong becomes a finding and reads as absent.
[[nodiscard]] std::vector<DiskPattern> read_disks(Fields& fields, bool allow, Findings& findings);
/// The same for "nics".
[[nodiscard]] std::vector<NicPattern> read_nics(Fields& fields, bool allow, Findings& findings);

} // namespace ashlar::policy
