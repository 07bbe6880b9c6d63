// SPDX-License-Identifier: LGPL-2.1-or-later
#include "xen_notes.hpp"

#include <algorithm>
#include <vector>

#include <elf.h>
#include <fmt/format.h>
#include <xen/elfnote.h>

#include "elf_notes.hpp"
#include "elf_sections.hpp"

namespace ashlar::inspector {

namespace {

struct NumberNote {
  std::uint32_t type;
  const char* name;
  std::optional<std::uint64_t> XenNotes::* value;
};
struct TextNote {
  std::uint32_t type;
  const char* name;
  std::optional<std::string> XenNotes::* value;
};

constexpr NumberNote number_notes[] = {
    {XEN_ELFNOTE_ENTRY, "ENTRY", &XenNotes::entry},
    {XEN_ELFNOTE_HYPERCALL_PAGE, "HYPERCALL_PAGE", &XenNotes::hypercall_page},
    {XEN_ELFNOTE_VIRT_BASE, "VIRT_BASE", &XenNotes::virt_base},
    {XEN_ELFNOTE_PADDR_OFFSET, "PADDR_OFFSET", &XenNotes::paddr_offset},
    {XEN_ELFNOTE_INIT_P2M, "INIT_P2M", &XenNotes::init_p2m},
    {XEN_ELFNOTE_PHYS32_ENTRY, "PHYS32_ENTRY", &XenNotes::phys32_entry},
};
constexpr TextNote text_notes[] = {
    {XEN_ELFNOTE_GUEST_OS, "GUEST_OS", &XenNotes::guest_os},
    {XEN_ELFNOTE_XEN_VERSION, "XEN_VERSION", &XenNotes::xen_version},
    {XEN_ELFNOTE_LOADER, "LOADER", &XenNotes::loader},
};
// libxenguest copies texts into arrays of 16 to 32 bytes, FEATURES apart.
constexpr std::size_t max_text_bytes = 64;

std::unexpected<Error> refuse(ErrorCode code, std::string why) {
  return failure(code, "reading the Xen notes of the ELF kernel", std::move(why));
}

Result<std::uint64_t> read_number(const FileRange& description, const char* name) {
  switch (description.size()) {
  case 4:
    return description.u32(0);
  case 8:
    return description.u64(0);
  default:
    return refuse(ErrorCode::invalid, fmt::format("the value of {} has {} bytes, not 4 or 8", name,
                                                  description.size()));
  }
}

Result<std::string> read_text(const FileRange& description, const char* name) {
  const auto bytes = description.bytes();
  if (bytes.size() > max_text_bytes)
    return refuse(ErrorCode::limit, fmt::format("the text of {} has {} bytes; the limit is {}",
                                                name, bytes.size(), max_text_bytes));
  const auto end = std::ranges::find(bytes, std::byte{0});
  if (end == bytes.end())
    return refuse(ErrorCode::invalid, fmt::format("the text of {} does not end with a NUL", name));
  return std::string(reinterpret_cast<const char*>(bytes.data()),
                     static_cast<std::size_t>(end - bytes.begin()));
}

Status take_note(const XenNote& note, XenNotes& notes) {
  for (const NumberNote& known : number_notes)
    if (known.type == note.type)
      notes.*known.value = TRY(read_number(note.description, known.name));
  for (const TextNote& known : text_notes)
    if (known.type == note.type)
      notes.*known.value = TRY(read_text(note.description, known.name));
  return {};
}

Result<XenNotes> take_notes(std::span<const XenNote> found) {
  XenNotes notes;
  std::vector<std::uint32_t> types;
  for (const XenNote& note : found) {
    if (std::ranges::find(types, note.type) != types.end())
      return refuse(ErrorCode::invalid,
                    fmt::format("note type {} is there twice: which one counts?", note.type));
    types.push_back(note.type);
    TRY(take_note(note, notes));
  }
  return notes;
}

void append(std::vector<XenNote>& all, const std::vector<XenNote>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

} // namespace

Result<XenNotes> read_xen_notes(std::span<const std::byte> file, const ElfHeader& header,
                                std::span<const Segment> segments) {
  const std::vector<FileRange> note_sections = TRY(read_note_sections(file, header));
  NoteReader reader = TRY(NoteReader::of(file));
  std::vector<XenNote> found;
  for (const Segment& segment : segments) {
    // Old binutils wrote note segments without a file offset; libxenguest skips those.
    if (segment.type == PT_NOTE && segment.contents.offset() != 0)
      append(found, TRY(reader.xen_notes(segment.contents)));
  }
  if (found.empty()) {
    for (const FileRange& section : note_sections)
      append(found, TRY(reader.xen_notes(section)));
  }
  if (found.empty())
    return refuse(ErrorCode::unsupported,
                  "it has none: it was not built to start under Xen (Linux: "
                  "CONFIG_XEN_PV or CONFIG_PVH)");
  return take_notes(found);
}

} // namespace ashlar::inspector
