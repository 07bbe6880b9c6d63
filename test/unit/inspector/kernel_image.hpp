// SPDX-License-Identifier: LGPL-2.1-or-later
// Small kernel images to test the inspector with, built from nothing: what a test breaks, it breaks
// in one of these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ashlar/inspector/report.hpp"

namespace ashlar::inspector::test {

using Bytes = std::vector<std::byte>;

struct Note {
  std::uint32_t type = 0;
  Bytes description;
  std::string owner = std::string("Xen\0", 4);
};
[[nodiscard]] Note number_note(std::uint32_t type, std::uint64_t value);
[[nodiscard]] Note text_note(std::uint32_t type, const std::string& text);

/// The notes of a kernel that starts as PV and as PVH.
[[nodiscard]] std::vector<Note> linux_notes();
/// The same without those of one type.
[[nodiscard]] std::vector<Note> linux_notes_without(std::uint32_t type);

// Where plain_kernel() puts things: two PT_LOAD program headers, one PT_NOTE, two section headers
// (null, SHT_NOTE), the notes, one page of code, one page of data that takes two pages in memory.
inline constexpr std::size_t program_headers_at = 64;
inline constexpr std::size_t program_header_size = 56;
inline constexpr std::size_t section_headers_at = 64 + 3 * 56;
inline constexpr std::size_t section_header_size = 64;
inline constexpr std::size_t notes_at = 0x200;
inline constexpr std::size_t code_at = 0x1000;
inline constexpr std::uint64_t code_address = 0x1000000;
inline constexpr std::uint64_t data_address = 0x1001000;
inline constexpr std::uint64_t load_end = 0x1003000;
inline constexpr std::uint64_t virtual_base = 0xffffffff80000000;

/// A plain ELF kernel with these notes (at most 3.5 KiB of them).
[[nodiscard]] Bytes plain_kernel(const std::vector<Note>& notes = linux_notes());

/// A bzImage around a payload (compressed stream and size).
[[nodiscard]] Bytes bzimage(const Bytes& payload);
/// What the kernel's build makes of a plain kernel: compressed, the size behind it (not for gzip).
[[nodiscard]] Bytes payload_of(const Bytes& plain, Compression compression);

/// Overwrites `width` bytes at `offset`, little-endian.
void put(Bytes& bytes, std::size_t offset, std::uint64_t value, std::size_t width);

} // namespace ashlar::inspector::test
