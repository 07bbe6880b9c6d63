// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a kernel can be started as a PV or as a PVH guest: the checks of libxenguest, and some
// more.
#pragma once

#include "ashlar/base/result.hpp"
#include "elf_segments.hpp"
#include "xen_notes.hpp"

namespace ashlar::inspector {

struct BootModes {
  bool pv = false;
  bool pvh = false;
};

/// PV needs the notes ENTRY, XEN_VERSION "xen-3.0" and either LOADER "generic" or GUEST_OS "linux";
/// PVH needs PHYS32_ENTRY. Each address must lie in what is loaded, the entry points on bytes from
/// the file. A wrong address in one mode refuses the kernel, even if the other mode would do.
/// Errors: invalid (an address out of range), unsupported (neither mode).
[[nodiscard]] Result<BootModes> find_boot_modes(const XenNotes& notes, const LoadMap& map);

} // namespace ashlar::inspector
