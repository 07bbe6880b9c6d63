// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/durable_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/base/unique_fd.hpp"

namespace ashlar::tpm {

namespace fs = std::filesystem;

namespace {

// Names are a directory's content: without this a crash could take a new one back.
Status sync_directory_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  const std::string directory = parent.empty() ? "." : parent.string();
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || fsync(fd.value()) != 0)
    return errno_failure("writing the directory " + directory + " to its disk");
  return {};
}

Status write_whole(int file, std::span<const std::byte> bytes, const std::string& path) {
  TRY(write_all(file, bytes, path));
  if (fsync(file) != 0)
    return errno_failure("writing " + path + " to its disk");
  return sync_directory_of(path);
}

} // namespace

Status make_directories(const std::string& path) {
  std::error_code error;
  if (path.empty() || fs::is_directory(path, error))
    return {};
  TRY(make_directories(fs::path(path).parent_path().string()));
  if (fs::create_directory(path, error); error)
    return failure(ErrorCode::io, "creating " + path, error.message(), error.value());
  return sync_directory_of(path);
}

std::string staged_path(const std::string& path) {
  return path + ".new";
}

Status stage(const std::string& path, std::span<const std::byte> bytes) {
  const std::string staged = staged_path(path);
  const UniqueFd file(::open(staged.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file)
    return errno_failure("writing " + staged, "is its directory there, and can it be written?");
  const Status written = write_whole(file.value(), bytes, staged);
  if (!written)
    unlink(staged.c_str());
  return written;
}

Status put_in_place(const std::string& path) {
  if (std::rename(staged_path(path).c_str(), path.c_str()) != 0)
    return errno_failure("putting " + path + " in place");
  return sync_directory_of(path);
}

} // namespace ashlar::tpm
