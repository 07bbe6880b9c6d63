// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/cli/guest.hpp"

namespace ashlar::cli {

/// Reads an xl.cfg(5) file with Xen's own parser (libxlutil).
///
/// Understood: name, uuid, type, builder (generic), kernel, ramdisk, cmdline, root and extra (as
/// "root=ROOT EXTRA", where there is no cmdline), memory and maxmem (MiB), vcpus and maxvcpus
/// (equal), on_poweroff, on_reboot, on_crash, seclabel, disk (read_disks) and vif (read_nics), both
/// as lists; Ashlar's own ashlar_vtpm, ashlar_kernel_signature and ashlar_ramdisk_signature. A file
/// without type or builder means pv, as for xl.
/// Any other setting is an error unless it is an empty list or string: a guest that lacks the
/// device that its file asks for would be another guest. Errors: not_found, denied, io, limit (64
/// KiB); invalid and unsupported, as "FILE:LINE: KEY …".
[[nodiscard]] Result<Guest> read_guest_file(const std::string& path);

} // namespace ashlar::cli
