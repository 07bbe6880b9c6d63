// SPDX-License-Identifier: LGPL-2.1-or-later
// The ELF file header and the places of its two tables (System V ABI, "ELF Header").
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ashlar/base/result.hpp"
#include "file_range.hpp"

namespace ashlar::inspector {

inline constexpr std::size_t program_header_bytes = 56; // Elf64_Phdr
inline constexpr std::size_t section_header_bytes = 64; // Elf64_Shdr

struct ElfHeader {
  FileRange program_headers;              // at least one
  FileRange section_headers;              // empty if there are none
  std::uint16_t program_header_count = 0; // 1 to max_program_headers
  std::uint16_t section_header_count = 0; // 0 to max_section_headers
};

/// Whether the file starts with the ELF magic number.
[[nodiscard]] bool has_elf_magic(std::span<const std::byte> file);

/// Checks the file header: 64-bit, little-endian, x86-64, ET_EXEC, table entries of the standard
/// sizes, both tables within the file and its limits. e_entry is not looked at: Xen takes the entry
/// points from its notes (boot_modes.hpp). Errors: invalid, limit, unsupported (another class, byte
/// order, machine or type).
[[nodiscard]] Result<ElfHeader> read_elf_header(std::span<const std::byte> file);

} // namespace ashlar::inspector
