// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/durable_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/base/unique_fd.hpp"

namespace ashlar::tpm {

std::string staged_path(const std::string& path) {
  return path + ".new";
}

Status stage(const std::string& path, std::span<const std::byte> bytes) {
  const std::string staged = staged_path(path);
  const UniqueFd file(::open(staged.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file)
    return errno_failure("writing " + staged, "is its directory there, and can it be written?");
  TRY(write_all(file.value(), bytes, staged));
  if (fsync(file.value()) != 0)
    return errno_failure("writing " + staged + " to its disk");
  return {};
}

Status put_in_place(const std::string& path) {
  if (std::rename(staged_path(path).c_str(), path.c_str()) != 0)
    return errno_failure("putting " + path + " in place");
  // The name is the directory's content: without this a crash could bring the former file back.
  const std::string directory = std::filesystem::path(path).parent_path().string();
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || fsync(fd.value()) != 0)
    return errno_failure("writing the directory " + directory + " to its disk");
  return {};
}

} // namespace ashlar::tpm
