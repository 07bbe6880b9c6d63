// SPDX-License-Identifier: LGPL-2.1-or-later
// Walks the notes of one note segment or section with libelf.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <libelf.h>

#include "ashlar/base/result.hpp"
#include "file_range.hpp"

namespace ashlar::inspector {

struct ElfEnd {
  void operator()(Elf* elf) const { elf_end(elf); }
};

/// One note whose owner is "Xen".
struct XenNote {
  std::uint32_t type = 0; // XEN_ELFNOTE_*
  FileRange description;
};

/// libelf's view of a file. The header and both tables must have been checked (elf_header.hpp).
class NoteReader {
public:
  /// Errors: invalid when libelf does not take the file for an ELF.
  [[nodiscard]] static Result<NoteReader> of(std::span<const std::byte> file);

  /// The Xen notes among all the notes in `range`, which is a note segment or section of the file.
  /// Notes are aligned to 4 bytes, as libxenguest reads them whatever the alignment says. Counts
  /// every note against max_notes, over all calls. Errors: limit (max_note_bytes, max_notes),
  /// invalid (a note passes the end of its range; an owner that libxenguest would take for "Xen"
  /// and others would not).
  [[nodiscard]] Result<std::vector<XenNote>> xen_notes(const FileRange& range);

private:
  NoteReader(std::span<const std::byte> file, Elf* elf) : file_(file), elf_(elf) {}

  std::span<const std::byte> file_;
  std::unique_ptr<Elf, ElfEnd> elf_;
  std::uint32_t seen_ = 0;
};

} // namespace ashlar::inspector
