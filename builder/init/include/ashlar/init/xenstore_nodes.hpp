// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "ashlar/base/result.hpp"

namespace ashlar::init {

/// Waits, at most `timeout_ms`, until xenstored answers; then writes the nodes that name domain 0:
/// /local/domain/0/{name,domid}. libxl's tools and libxenvchan read them. Errors: timeout, io.
[[nodiscard]] Status prepare_xenstore(int timeout_ms);

} // namespace ashlar::init
