// SPDX-License-Identifier: LGPL-2.1-or-later
// Against the TPM Manager: from a domain that may not reach it, and from the one that may.
#pragma once

#include <cstdint>

namespace ashlar::rogue {

/// In an unprivileged domain: tries to join the ring that the manager serves, then to map each page
/// and bind each event channel that its domain could have shared. 0: none but those of the store's
/// device.
[[nodiscard]] int reach_manager(std::uint32_t manager_domid);

/// In the builder's domain, in the builder's place: sends a record, sends it again, changed, after
/// its revocation, and for a domain that has one; then revokes `guest_serial`. 0: the manager took
/// the one record once.
[[nodiscard]] int replay_records(std::uint32_t manager_domid, std::uint64_t guest_serial);

} // namespace ashlar::rogue
