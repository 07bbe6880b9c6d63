// SPDX-License-Identifier: LGPL-2.1-or-later
// Loading a kernel and its initrd into the memory of a new domain, with libxenguest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ashlar/base/result.hpp"
#include "ashlar/constructor/plan.hpp"
#include "ashlar/constructor/store_nodes.hpp"
#include "ashlar/xen/control.hpp"

namespace ashlar::constructor {

/// What is loaded. The bytes must stay mapped until build_image() has returned.
struct Payload {
  std::span<const std::byte> kernel; // a plain ELF; libxenguest parses it
  std::span<const std::byte> initrd; // empty: none
};

/// Event channel ports in the new domain.
struct Channels {
  std::uint32_t store = 0;
  std::uint32_t console = 0;
};

/// The pages for the rings, as other domains name them.
struct RingPages {
  std::uint64_t store = 0;
  std::uint64_t console = 0;
};

/// Gives the domain its memory and loads kernel, initrd, command line, ACPI tables (PVH), page
/// tables (PV) and the first vCPU's registers. Errors: invalid (the kernel is not an ELF, or not
/// one that can run as this type), limit (it does not fit into the memory), io with libxenguest's
/// own reason.
[[nodiscard]] Result<RingPages> build_image(xen::Control& control, const Plan& plan,
                                            std::uint32_t domid, const Payload& payload,
                                            const Channels& channels);

} // namespace ashlar::constructor
