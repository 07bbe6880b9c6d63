// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>

#include "ashlar/ipc/transport.hpp"

struct libxenvchan;

namespace ashlar::ipc {

/// Makes a Transport of an open vchan to `peer_domid`, which it owns from now on, on failure as
/// well. Errors: io.
[[nodiscard]] Result<std::unique_ptr<Transport>> adopt_vchan(libxenvchan* vchan,
                                                             std::uint32_t peer_domid);

} // namespace ashlar::ipc
