// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "ashlar/base/result.hpp"

namespace ashlar::init {

inline constexpr const char* console_log_directory = "/var/log/xen/console";
inline constexpr const char* run_directory = "/run/ashlar";

/// Mounts proc, sysfs, devtmpfs, devpts and the tmpfs directories, and makes the directories that
/// the services expect. The console logs get a tmpfs of their own with a fixed size: what guests
/// print can fill that, and nothing else. Errors: io, denied.
[[nodiscard]] Status mount_file_systems();

/// Mounts xenfs on /proc/xen. Needs the xenfs module.
[[nodiscard]] Status mount_xenfs();

} // namespace ashlar::init
