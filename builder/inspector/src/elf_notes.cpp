// SPDX-License-Identifier: LGPL-2.1-or-later
#include "elf_notes.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <gelf.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/inspector/limits.hpp"

namespace ashlar::inspector {

namespace {

constexpr std::string_view owner("Xen\0", 4);
constexpr std::size_t note_header_bytes = sizeof(Elf64_Nhdr);

std::unexpected<Error> refuse(ErrorCode code, std::string why) {
  return failure(code, "reading the notes of the ELF kernel", std::move(why));
}

std::unexpected<Error> broken_note(std::uint64_t offset) {
  return refuse(
      ErrorCode::invalid,
      fmt::format("the note at byte {} of the file passes the end of its note segment", offset));
}

/// libxenguest compares the text right behind the note's header, however long the name claims to
/// be.
Result<bool> owned_by_xen(std::span<const std::byte> file, std::uint64_t note_at,
                          std::uint32_t name_bytes) {
  const auto name =
      FileRange::within(file, note_at + note_header_bytes, owner.size(), "the owner of a note");
  if (!name || !std::ranges::equal(name->bytes(), as_bytes(owner)))
    return false;
  if (name_bytes != owner.size())
    return refuse(
        ErrorCode::invalid,
        fmt::format("the note at byte {} has the owner \"Xen\" in a name of {} bytes, not {}",
                    note_at, name_bytes, owner.size()));
  return true;
}

} // namespace

Result<NoteReader> NoteReader::of(std::span<const std::byte> file) {
  elf_version(EV_CURRENT);
  // libelf takes a char* and only reads from it.
  Elf* elf = elf_memory(reinterpret_cast<char*>(const_cast<std::byte*>(file.data())), file.size());
  if (elf == nullptr)
    return refuse(ErrorCode::invalid, fmt::format("libelf refuses it: {}", elf_errmsg(-1)));
  return NoteReader(file, elf);
}

Result<std::vector<XenNote>> NoteReader::xen_notes(const FileRange& range) {
  if (range.size() > max_note_bytes)
    return refuse(
        ErrorCode::limit,
        fmt::format("the note segment or section at byte {} has {} bytes; the limit is {}",
                    range.offset(), range.size(), max_note_bytes));
  std::vector<XenNote> found;
  if (range.size() == 0)
    return found;
  Elf_Data* data = elf_getdata_rawchunk(elf_.get(), static_cast<std::int64_t>(range.offset()),
                                        range.size(), ELF_T_NHDR);
  if (data == nullptr)
    return refuse(ErrorCode::invalid, fmt::format("libelf refuses the notes at byte {}: {}",
                                                  range.offset(), elf_errmsg(-1)));
  std::size_t at = 0;
  while (at < range.size()) {
    if (range.size() - at < note_header_bytes)
      return broken_note(range.offset() + at);
    if (++seen_ > max_notes)
      return refuse(ErrorCode::limit, fmt::format("it has more than {} notes", max_notes));
    GElf_Nhdr note = {};
    std::size_t name_at = 0;
    std::size_t description_at = 0;
    const std::size_t next = gelf_getnote(data, at, &note, &name_at, &description_at);
    if (next <= at)
      return broken_note(range.offset() + at);
    if (TRY(owned_by_xen(file_, range.offset() + at, note.n_namesz))) {
      const FileRange description = TRY(FileRange::within(
          range.bytes(), description_at, note.n_descsz, "the contents of a Xen note"));
      found.push_back({note.n_type, description});
    }
    at = next;
  }
  return found;
}

} // namespace ashlar::inspector
