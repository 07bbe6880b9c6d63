// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "ashlar/base/result.hpp"

namespace ashlar::bench {

/// A new directory on a tmpfs, as the builder's run directory is; removed with all in it.
class TemporaryDirectory {
public:
  [[nodiscard]] static Result<TemporaryDirectory> create() {
    std::string path = "/dev/shm/ashlar-bench-XXXXXX";
    if (mkdtemp(path.data()) == nullptr)
      return errno_failure("making the directory " + path);
    return TemporaryDirectory(std::move(path));
  }
  TemporaryDirectory(TemporaryDirectory&& other) noexcept
      : path_(std::exchange(other.path_, std::string())) {}
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored; // a directory left behind on a tmpfs is gone with the next boot
    if (!path_.empty())
      std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

} // namespace ashlar::bench
