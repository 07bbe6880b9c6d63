// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/constructor/memory_layout.hpp"

namespace ashlar::constructor {

namespace {
constexpr std::uint64_t page_size = 4096;
// libxenguest puts the xenstore, console and identity page table pages here
// (X86_HVM_END_SPECIAL_REGION and X86_HVM_NR_SPECIAL_PAGES of xenguest.h).
constexpr std::uint64_t special_pages = 8;
constexpr std::uint64_t special_start = (0xff000 - special_pages) * page_size;
} // namespace

MemoryLayout lay_out(std::uint64_t memory_kib) {
  const std::uint64_t bytes = memory_kib * 1024;
  if (bytes <= mmio_start)
    return {.low_end = bytes, .high_end = 0};
  return {.low_end = mmio_start, .high_end = four_gib + (bytes - mmio_start)};
}

std::vector<MemoryRange> memory_map(const MemoryLayout& layout, std::uint64_t acpi_bytes) {
  const std::uint64_t acpi_size = (acpi_bytes + page_size - 1) / page_size * page_size;
  std::vector<MemoryRange> map = {
      {.start = 0, .size = layout.low_end, .type = MemoryType::ram},
      {.start = acpi_start, .size = acpi_size, .type = MemoryType::acpi},
      {.start = special_start, .size = special_pages * page_size, .type = MemoryType::reserved},
  };
  if (layout.high_end != 0)
    map.push_back({.start = four_gib, .size = layout.high_end - four_gib, .type = MemoryType::ram});
  return map;
}

} // namespace ashlar::constructor
