// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "ashlar/inspector/inspect.hpp"

namespace ashlar::inspector {

/// Unpacks into an empty memory file: sizes it and maps it, so that no byte is copied on the way.
class PlainFile : public PlainSink {
public:
  /// Does not own `fd`.
  explicit PlainFile(int fd) : fd_(fd) {}
  ~PlainFile() override;
  PlainFile(const PlainFile&) = delete;
  PlainFile& operator=(const PlainFile&) = delete;

  /// Errors: io (memory, RLIMIT_FSIZE).
  [[nodiscard]] Result<std::span<std::byte>> reserve(std::uint64_t bytes) override;

private:
  int fd_;
  std::span<std::byte> mapping_;
};

} // namespace ashlar::inspector
