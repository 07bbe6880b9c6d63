// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/console_logs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/base/unique_fd.hpp"

namespace ashlar::init {

namespace {

Status cut(const std::string& path, std::uint64_t size) {
  // O_APPEND: the tail must not overwrite what xenconsoled writes after the truncation.
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC));
  if (!file)
    return errno_failure("opening the console log " + path);
  std::vector<std::byte> tail(kept_console_log_bytes);
  const ssize_t got = ::pread(file.value(), tail.data(), tail.size(),
                              static_cast<off_t>(size - kept_console_log_bytes));
  if (got < 0)
    return errno_failure("reading the console log " + path);
  if (::ftruncate(file.value(), 0) != 0)
    return errno_failure("cutting the console log " + path);
  tail.resize(static_cast<std::size_t>(got));
  return write_all(file.value(), tail, "the console log " + path);
}

} // namespace

Status cap_console_logs(const std::string& directory) {
  Status first;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    struct stat info = {};
    if (::lstat(entry.path().c_str(), &info) != 0 || !S_ISREG(info.st_mode))
      continue;
    const auto size = static_cast<std::uint64_t>(info.st_size);
    if (size <= max_console_log_bytes)
      continue;
    const Status done = cut(entry.path(), size);
    if (!done && first)
      first = done;
  }
  if (error)
    return failure(ErrorCode::io, "reading the directory " + directory, error.message(),
                   error.value());
  return first;
}

} // namespace ashlar::init
