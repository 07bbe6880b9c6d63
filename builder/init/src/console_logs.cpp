// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/console_logs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <tuple>
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

struct Log {
  std::string path;
  std::uint64_t size = 0;
  timespec written = {};
};

Result<std::vector<Log>> regular_files(const std::string& directory) {
  std::vector<Log> logs;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    struct stat info = {};
    if (::lstat(entry.path().c_str(), &info) == 0 && S_ISREG(info.st_mode))
      logs.push_back({entry.path(), static_cast<std::uint64_t>(info.st_size), info.st_mtim});
  }
  if (error)
    return failure(ErrorCode::io, "reading the directory " + directory, error.message(),
                   error.value());
  return logs;
}

bool written_earlier(const Log& one, const Log& other) {
  return std::tie(one.written.tv_sec, one.written.tv_nsec) <
         std::tie(other.written.tv_sec, other.written.tv_nsec);
}

Status remove_oldest(std::vector<Log> logs) {
  std::uint64_t total = 0;
  for (const Log& log : logs)
    total += log.size;
  std::ranges::sort(logs, written_earlier);
  for (const Log& log : logs) {
    if (total <= max_all_console_log_bytes)
      return {};
    if (::unlink(log.path.c_str()) != 0)
      return errno_failure("removing the console log " + log.path);
    total -= log.size;
  }
  return {};
}

} // namespace

Status cap_console_logs(const std::string& directory) {
  Status first;
  std::vector<Log> logs = TRY(regular_files(directory));
  for (Log& log : logs) {
    if (log.size <= max_console_log_bytes)
      continue;
    const Status done = cut(log.path, log.size);
    if (done)
      log.size = kept_console_log_bytes;
    else if (first)
      first = done;
  }
  const Status removed = remove_oldest(std::move(logs));
  return first ? removed : first;
}

} // namespace ashlar::init
