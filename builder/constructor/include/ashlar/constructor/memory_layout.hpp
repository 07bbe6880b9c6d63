// SPDX-License-Identifier: LGPL-2.1-or-later
// Where a PVH guest's memory lies. PV guests have pages, but no such layout.
#pragma once

#include <cstdint>
#include <vector>

namespace ashlar::constructor {

/// Types of xen/include/public/arch-x86/hvm/start_info.h (XEN_HVM_MEMMAP_TYPE_*), as in ACPI's
/// INT 15h E820.
enum class MemoryType : std::uint32_t { ram = 1, reserved = 2, acpi = 3 };

/// A range of guest-physical addresses, in bytes.
struct MemoryRange {
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  MemoryType type = MemoryType::ram;
  bool operator==(const MemoryRange&) const = default;
};

inline constexpr std::uint64_t four_gib = std::uint64_t{1} << 32;
/// Lowest address of the hole below 4 GiB: the ACPI tables are at its start; above them come
/// libxenguest's special pages (from 0xfeff8000) and the local APIC (0xfee00000). The same place as
/// libxl's.
inline constexpr std::uint64_t mmio_start = 0xfc000000;
inline constexpr std::uint64_t acpi_start = mmio_start;

struct MemoryLayout {
  std::uint64_t low_end = 0;  // end of the RAM that starts at 0
  std::uint64_t high_end = 0; // end of the RAM that starts at 4 GiB; 0 when there is none
  bool operator==(const MemoryLayout&) const = default;
};

/// Lays out `memory_kib` of RAM: below the hole, and what does not fit from 4 GiB on.
[[nodiscard]] MemoryLayout lay_out(std::uint64_t memory_kib);

/// The guest's memory map, by rising address: RAM, the ACPI tables (`acpi_bytes`, rounded up to
/// whole pages), the special pages, high RAM.
[[nodiscard]] std::vector<MemoryRange> memory_map(const MemoryLayout& layout,
                                                  std::uint64_t acpi_bytes);

} // namespace ashlar::constructor
