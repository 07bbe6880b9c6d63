// SPDX-License-Identifier: LGPL-2.1-or-later
// The decompressors' libraries called directly, at their simplest: the limit for the inspector.
#pragma once

#include <cstddef>
#include <span>

#include "ashlar/inspector/report.hpp"

namespace ashlar::bench {

/// Unpacks one stream of a trusted kernel into `out`, which has the unpacked size. False when the
/// library failed or did not fill `out`.
[[nodiscard]] bool decode_raw(inspector::Compression compression, std::span<const std::byte> in,
                              std::span<std::byte> out);

} // namespace ashlar::bench
