// SPDX-License-Identifier: LGPL-2.1-or-later
// What "disks" and "nics" of a rule say about a guest's devices, and about each other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ashlar/measure/devices.hpp"
#include "model.hpp"

namespace ashlar::policy {

/// Why an allow rule with these entries does not match a guest with these devices; nothing: each
/// device fits one. Completes "the rule would match, but …". The requester controls the devices.
[[nodiscard]] std::optional<std::string> why_not_allowed(const std::vector<DiskPattern>& patterns,
                                                         const std::vector<measure::Disk>& disks);
[[nodiscard]] std::optional<std::string> why_not_allowed(const std::vector<NicPattern>& patterns,
                                                         const std::vector<measure::Nic>& nics);

/// Likewise a deny rule; nothing: some device fits one.
[[nodiscard]] std::optional<std::string> why_not_denied(const std::vector<DiskPattern>& patterns,
                                                        const std::vector<measure::Disk>& disks);
[[nodiscard]] std::optional<std::string> why_not_denied(const std::vector<NicPattern>& patterns,
                                                        const std::vector<measure::Nic>& nics);

/// Does `wide` surely take every device that `narrow` takes? Not all such pairs are recognized.
[[nodiscard]] bool covers(const DiskPattern& wide, const DiskPattern& narrow);
[[nodiscard]] bool covers(const NicPattern& wide, const NicPattern& narrow);
/// Likewise lists: is each of `narrow` covered by one of `wide`?
[[nodiscard]] bool covers(const std::vector<DiskPattern>& wide,
                          const std::vector<DiskPattern>& narrow);
[[nodiscard]] bool covers(const std::vector<NicPattern>& wide,
                          const std::vector<NicPattern>& narrow);
/// Does one of them take every device?
[[nodiscard]] bool takes_all(const std::vector<DiskPattern>& patterns);
[[nodiscard]] bool takes_all(const std::vector<NicPattern>& patterns);

} // namespace ashlar::policy
