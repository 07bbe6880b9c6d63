// SPDX-License-Identifier: LGPL-2.1-or-later
// That libxenguest reads a plain kernel as the ELF file that it begins like. It asks its loaders
// for other formats first, and those look at other places of the file than the first four bytes.
#pragma once

#include <cstddef>
#include <span>

#include "ashlar/base/result.hpp"

namespace ashlar::inspector {

/// Refuses a kernel that one of libxenguest's other loaders would take before its ELF loader is
/// asked: a bzImage's signature at 0x202, or a header of Xen's own multiboot format, whose magic
/// number may stand at every fourth of the first 8,192 bytes. Such a kernel would be unpacked and
/// loaded by code that trusts it, from a header that nobody looked at. Errors: invalid. Source:
/// tools/libs/guest/xg_dom_bzimageloader.c and xg_dom_binloader.c of Xen 4.17; none asks for ELF's
/// magic number.
[[nodiscard]] Status require_one_reading(std::span<const std::byte> kernel);

} // namespace ashlar::inspector
