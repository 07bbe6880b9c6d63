// SPDX-License-Identifier: LGPL-2.1-or-later
#include "elf_sections.hpp"

#include <cstdint>

#include <elf.h>
#include <fmt/format.h>

namespace ashlar::inspector {

Result<std::vector<FileRange>> read_note_sections(std::span<const std::byte> file,
                                                  const ElfHeader& header) {
  std::vector<FileRange> notes;
  for (std::uint16_t i = 0; i < header.section_header_count; ++i) {
    const FileRange entry =
        TRY(FileRange::within(header.section_headers.bytes(), i * section_header_bytes,
                              section_header_bytes, fmt::format("section header {}", i)));
    const std::uint32_t type = entry.u32(offsetof(Elf64_Shdr, sh_type));
    // Notes there would be read here and not by libxenguest, which begins with the next section and
    // then takes a PV kernel's "__xen_guest" for its notes.
    if (i == 0 && type != SHT_NULL)
      return failure(ErrorCode::invalid, "reading the sections of the ELF kernel",
                     fmt::format("section 0 has type {}; ELF keeps it empty ({})", type, SHT_NULL));
    if (type == SHT_NULL || type == SHT_NOBITS)
      continue;
    const FileRange contents = TRY(FileRange::within(
        file, entry.u64(offsetof(Elf64_Shdr, sh_offset)), entry.u64(offsetof(Elf64_Shdr, sh_size)),
        fmt::format("the contents of section {} of the ELF kernel", i)));
    if (type == SHT_NOTE)
      notes.push_back(contents);
  }
  return notes;
}

} // namespace ashlar::inspector
