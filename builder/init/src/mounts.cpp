// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/mounts.hpp"

#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

namespace ashlar::init {

namespace {

struct FileSystem {
  const char* type;
  const char* path;
  unsigned long flags;
  const char* options;
};

constexpr unsigned long plain_data = MS_NOSUID | MS_NODEV | MS_NOEXEC;

constexpr std::array file_systems{
    FileSystem{"proc", "/proc", plain_data, ""},
    FileSystem{"sysfs", "/sys", plain_data, ""},
    FileSystem{"devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, "mode=0755"},
    FileSystem{"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0600,ptmxmode=0666"},
    FileSystem{"tmpfs", "/run", plain_data, "mode=0755,size=64m"},
    FileSystem{"tmpfs", "/tmp", plain_data, "mode=1777,size=64m"},
    FileSystem{"tmpfs", console_log_directory, plain_data, "mode=0755,size=64m"},
};

// Of xenstored's sockets and of the builder.
constexpr std::array directories{"/run/xen", "/run/xenstored", run_directory};

Status make_directory(const char* path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return failure(ErrorCode::io, fmt::format("making the directory {}", path), error.message(),
                   error.value());
  return {};
}

Status mount_one(const FileSystem& what) {
  TRY(make_directory(what.path));
  // EBUSY: the kernel mounted it already (devtmpfs with CONFIG_DEVTMPFS_MOUNT).
  if (::mount(what.type, what.path, what.type, what.flags, what.options) != 0 && errno != EBUSY)
    return errno_failure(fmt::format("mounting {} on {}", what.type, what.path));
  return {};
}

} // namespace

Status mount_file_systems() {
  for (const FileSystem& what : file_systems)
    TRY(mount_one(what));
  for (const char* path : directories)
    TRY(make_directory(path));
  return {};
}

Status mount_xenfs() {
  if (::mount("xenfs", "/proc/xen", "xenfs", plain_data, "") != 0)
    return errno_failure("mounting xenfs on /proc/xen", "is this kernel running on Xen?");
  return {};
}

} // namespace ashlar::init
