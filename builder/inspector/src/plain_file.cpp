// SPDX-License-Identifier: LGPL-2.1-or-later
#include "plain_file.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <fmt/format.h>

namespace ashlar::inspector {

PlainFile::~PlainFile() {
  if (!mapping_.empty())
    munmap(mapping_.data(), mapping_.size());
}

Result<std::span<std::byte>> PlainFile::reserve(std::uint64_t bytes) {
  if (ftruncate(fd_, static_cast<off_t>(bytes)) != 0)
    return errno_failure(fmt::format("sizing the plain kernel to {} bytes", bytes));
  // Shared: the file is the result. Nobody but this process writes to it before the broker seals
  // it.
  void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (address == MAP_FAILED)
    return errno_failure(fmt::format("mapping {} bytes for the plain kernel", bytes));
  mapping_ = std::span(static_cast<std::byte*>(address), bytes);
  // Advice alone. In a PV domain a fault of a process takes several turns through the hypervisor:
  // all of them are spared, since the decoder writes every page.
  static_cast<void>(madvise(address, bytes, MADV_POPULATE_WRITE));
  return mapping_;
}

} // namespace ashlar::inspector
