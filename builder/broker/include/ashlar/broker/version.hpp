// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>

namespace ashlar::broker {

/// Of the RPC (ipc/ashlar.proto).
inline constexpr std::uint32_t protocol_version = 1;

/// "ashlar-builder VERSION": told to clients, and the content of the builder event of every record.
inline constexpr char builder_version[] = "ashlar-builder " ASHLAR_VERSION;

} // namespace ashlar::broker
