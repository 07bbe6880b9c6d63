// SPDX-License-Identifier: LGPL-2.1-or-later
// The program headers of an ELF kernel, and what they put into the guest's memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "elf_header.hpp"
#include "file_range.hpp"

namespace ashlar::inspector {

/// One program header whose bytes lie within the file (Elf64_Phdr).
struct Segment {
  std::uint32_t type = 0; // PT_*
  std::uint32_t flags = 0;
  FileRange contents;             // p_offset, p_filesz
  std::uint64_t physical = 0;     // p_paddr
  std::uint64_t memory_bytes = 0; // p_memsz; physical + memory_bytes does not wrap if PT_LOAD
  [[nodiscard]] std::uint64_t physical_end() const { return physical + memory_bytes; }
};

/// What is loaded, by physical address: as libxenguest does it, for PV and PVH.
class LoadMap {
public:
  /// Takes the PT_LOAD segments that have memory. Checks that there is one, that each is readable,
  /// writable or executable (libxenguest skips others without a word), that file bytes fit the
  /// memory, that none overlap or wrap, and that the whole stays within max_load_bytes. Errors:
  /// invalid, limit.
  [[nodiscard]] static Result<LoadMap> of(std::span<const Segment> segments);

  [[nodiscard]] std::uint64_t start() const { return loads_.front().physical; }
  [[nodiscard]] std::uint64_t end() const { return loads_.back().physical_end(); }
  /// Whether a byte from the file (not the zeros behind it) is loaded at this physical address.
  [[nodiscard]] bool has_file_byte(std::uint64_t physical) const;

private:
  std::vector<Segment> loads_; // by address, at least one, disjoint
};

/// Reads all program headers. Errors: invalid when a segment's bytes lie outside the file.
[[nodiscard]] Result<std::vector<Segment>> read_segments(std::span<const std::byte> file,
                                                         const ElfHeader& header);

} // namespace ashlar::inspector
