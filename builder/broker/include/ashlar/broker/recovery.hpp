// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "ashlar/broker/services.hpp"

namespace ashlar::broker {

/// Brings the engine to the state that the journal and the supervisor remember, after a restart of
/// the builder's process: images measured anew from the supervisor's descriptors, half-built
/// domains removed, complete ones taken over, the dead ones revoked, and those started that had
/// been recorded but not unpaused yet. With an empty journal it does nothing. Errors: io.
[[nodiscard]] Status recover(Services& services, const JournalState& remembered);

} // namespace ashlar::broker
