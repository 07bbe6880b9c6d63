// SPDX-License-Identifier: LGPL-2.1-or-later
// The Linux/x86 boot protocol's setup header (Linux: Documentation/arch/x86/boot.rst).
#pragma once

#include <cstddef>
#include <span>

#include "ashlar/base/result.hpp"
#include "file_range.hpp"

namespace ashlar::inspector {

/// Whether the file has the boot protocol's signature "HdrS" where a bzImage has it. Nothing else
/// about the file is known then.
[[nodiscard]] bool has_bzimage_signature(std::span<const std::byte> image);

/// Checks the setup header and finds the payload: the compressed kernel with its size
/// (payload.hpp). Needs boot protocol 2.08 (Linux 2.6.26, 2008), the first that says where the
/// payload is. Errors: invalid (signature, sizes), unsupported (older protocol, zImage).
[[nodiscard]] Result<FileRange> find_bzimage_payload(std::span<const std::byte> image);

} // namespace ashlar::inspector
