// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>

#include "ashlar/base/result.hpp"

namespace ashlar::constructor {

/// Checks that a kernel which ends `kernel_end` bytes above the start of the guest's memory, an
/// initrd of `initrd_bytes`, and what the builder puts beside them (page tables and page frame list
/// in proportion to the memory, start information) fit into `memory_kib`. What the kernel needs to
/// run comes on top and is not known here. Errors: limit, with the sizes.
[[nodiscard]] Status check_memory_need(std::uint64_t kernel_end, std::uint64_t initrd_bytes,
                                       std::uint64_t memory_kib);

} // namespace ashlar::constructor
