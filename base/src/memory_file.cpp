// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/base/memory_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include <fmt/format.h>

namespace ashlar {

namespace {
constexpr int all_seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
}

Result<UniqueFd> create_memory_file(const std::string& name) {
  UniqueFd fd(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd)
    return errno_failure("creating the memory file " + name);
  return fd;
}

Status write_all(int fd, std::span<const std::byte> bytes, const std::string& what) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return errno_failure("writing " + what);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status seal(int fd, const std::string& what) {
  if (fcntl(fd, F_ADD_SEALS, all_seals) != 0)
    return errno_failure("sealing " + what);
  return {};
}

Status require_sealed(int fd, const std::string& what) {
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0)
    return errno_failure("reading the seals of " + what);
  if ((seals & all_seals) != all_seals)
    return failure(
        ErrorCode::integrity, "checking the seals of " + what,
        fmt::format("the memory is not sealed against change (seals {:#x}, needed {:#x})", seals,
                    all_seals));
  return {};
}

Result<std::uint64_t> file_size(int fd, const std::string& what) {
  struct stat info = {};
  if (fstat(fd, &info) != 0)
    return errno_failure("asking for the size of " + what);
  return static_cast<std::uint64_t>(info.st_size);
}

Result<std::string> read_file(const std::string& path, std::uint64_t limit) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return errno_failure("opening " + path);
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t count = ::read(fd.value(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return errno_failure("reading " + path);
    if (count == 0)
      return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > limit)
      return failure(ErrorCode::limit, "reading " + path,
                     fmt::format("the file is larger than {} bytes", limit));
  }
}

} // namespace ashlar
