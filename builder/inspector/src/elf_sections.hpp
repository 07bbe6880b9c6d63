// SPDX-License-Identifier: LGPL-2.1-or-later
// The section headers of an ELF kernel. Nothing is loaded by section; but Xen looks for notes there
// when no segment has any, and libxenguest walks the table for symbols.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "elf_header.hpp"
#include "file_range.hpp"

namespace ashlar::inspector {

/// Checks that section 0 is empty, that every section with contents (not SHT_NULL, not SHT_NOBITS)
/// lies within the file, and returns the contents of the SHT_NOTE sections, in order. Errors:
/// invalid.
[[nodiscard]] Result<std::vector<FileRange>> read_note_sections(std::span<const std::byte> file,
                                                                const ElfHeader& header);

} // namespace ashlar::inspector
