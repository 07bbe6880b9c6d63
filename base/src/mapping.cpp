// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/base/mapping.hpp"

#include <sys/mman.h>

#include <utility>

#include "ashlar/base/memory_file.hpp"

namespace ashlar {

Mapping::Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (!bytes_.empty())
    munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<Mapping> Mapping::of(int fd, const std::string& what) {
  const std::uint64_t size = TRY(file_size(fd, what));
  if (size == 0)
    return Mapping();
  void* start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (start == MAP_FAILED)
    return errno_failure("mapping " + what);
  // Advice alone. Without it the kernel notes for each page that it was used, when it is unmapped.
  static_cast<void>(madvise(start, size, MADV_SEQUENTIAL));
  return Mapping({static_cast<const std::byte*>(start), static_cast<std::size_t>(size)});
}

} // namespace ashlar
