// SPDX-License-Identifier: LGPL-2.1-or-later
// Disks and network interfaces as xl's users write them: an entry of `disk` and `vif` in an xl.cfg
// file, and the values of --disk and --nic.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/devices.hpp"

namespace ashlar::cli {

/// Reads disks in the syntax of xl-disk-configuration(5), with Xen's own parser (libxlutil):
/// "phy:/dev/vg0/web,xvda,w", "vdev=xvda,access=ro,backend=storage,target=/dev/vg0/web".
///
/// Taken: target, vdev, access (default rw), backend (default Domain-0), and what changes nothing:
/// format=raw, backendtype=phy, specification=xen, devtype=disk. Whatever else is set is
/// refused, since the guest would get another device than was asked for. The list is valid
/// (measure::validate). `source` begins an error: "web.cfg:4: disk". Errors: invalid, limit;
/// unsupported, naming the setting.
[[nodiscard]] Result<std::vector<measure::Disk>> read_disks(std::span<const std::string> texts,
                                                            std::string_view source);

/// Reads network interfaces in a part of xl-network-configuration(5)'s syntax: "KEY=VALUE,…".
///
/// Taken: mac (default: the builder makes one), bridge (default xenbr0), backend (default
/// Domain-0), and type=vif and script=vif-bridge, which change nothing; each at most once. The
/// empty text is an interface with the defaults. Anything else is refused by its key. The rest as
/// for read_disks.
[[nodiscard]] Result<std::vector<measure::Nic>> read_nics(std::span<const std::string> texts,
                                                          std::string_view source);

} // namespace ashlar::cli
