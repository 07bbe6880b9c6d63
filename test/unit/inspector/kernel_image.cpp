// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel_image.hpp"

#include <algorithm>
#include <cstdlib>

#include <elf.h>
#include <xen/elfnote.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"

namespace ashlar::inspector::test {

namespace {

constexpr std::size_t page = 0x1000;

struct ProgramHeader {
  std::uint32_t type;
  std::uint32_t flags;
  std::uint64_t offset;
  std::uint64_t physical;
  std::uint64_t file_bytes;
  std::uint64_t memory_bytes;
};

void append_padded(WireWriter& writer, std::span<const std::byte> bytes) {
  writer.raw(bytes);
  writer.raw(Bytes((4 - bytes.size() % 4) % 4));
}

Bytes encode_notes(const std::vector<Note>& notes) {
  WireWriter writer;
  for (const Note& note : notes) {
    writer.u32(static_cast<std::uint32_t>(note.owner.size()));
    writer.u32(static_cast<std::uint32_t>(note.description.size()));
    writer.u32(note.type);
    append_padded(writer, as_bytes(note.owner));
    append_padded(writer, note.description);
  }
  return writer.take();
}

void put_file_header(Bytes& file) {
  std::ranges::copy(as_bytes(std::string_view(ELFMAG, SELFMAG)), file.begin());
  put(file, EI_CLASS, ELFCLASS64, 1);
  put(file, EI_DATA, ELFDATA2LSB, 1);
  put(file, EI_VERSION, EV_CURRENT, 1);
  put(file, offsetof(Elf64_Ehdr, e_type), ET_EXEC, 2);
  put(file, offsetof(Elf64_Ehdr, e_machine), EM_X86_64, 2);
  put(file, offsetof(Elf64_Ehdr, e_version), EV_CURRENT, 4);
  put(file, offsetof(Elf64_Ehdr, e_entry), code_address, 8);
  put(file, offsetof(Elf64_Ehdr, e_phoff), program_headers_at, 8);
  put(file, offsetof(Elf64_Ehdr, e_shoff), section_headers_at, 8);
  put(file, offsetof(Elf64_Ehdr, e_ehsize), sizeof(Elf64_Ehdr), 2);
  put(file, offsetof(Elf64_Ehdr, e_phentsize), program_header_size, 2);
  put(file, offsetof(Elf64_Ehdr, e_phnum), 3, 2);
  put(file, offsetof(Elf64_Ehdr, e_shentsize), section_header_size, 2);
  put(file, offsetof(Elf64_Ehdr, e_shnum), 2, 2);
}

void put_program_header(Bytes& file, std::size_t index, const ProgramHeader& header) {
  const std::size_t at = program_headers_at + index * program_header_size;
  put(file, at + offsetof(Elf64_Phdr, p_type), header.type, 4);
  put(file, at + offsetof(Elf64_Phdr, p_flags), header.flags, 4);
  put(file, at + offsetof(Elf64_Phdr, p_offset), header.offset, 8);
  put(file, at + offsetof(Elf64_Phdr, p_vaddr), virtual_base + header.physical, 8);
  put(file, at + offsetof(Elf64_Phdr, p_paddr), header.physical, 8);
  put(file, at + offsetof(Elf64_Phdr, p_filesz), header.file_bytes, 8);
  put(file, at + offsetof(Elf64_Phdr, p_memsz), header.memory_bytes, 8);
}

} // namespace

void put(Bytes& bytes, std::size_t offset, std::uint64_t value, std::size_t width) {
  if (offset + width > bytes.size())
    std::abort();
  for (std::size_t i = 0; i < width; ++i)
    bytes[offset + i] = static_cast<std::byte>(value >> (8 * i));
}

Note number_note(std::uint32_t type, std::uint64_t value) {
  Bytes description(8);
  put(description, 0, value, 8);
  return {type, description};
}

Note text_note(std::uint32_t type, const std::string& text) {
  const auto bytes = as_bytes(text);
  Bytes description(bytes.begin(), bytes.end());
  description.push_back(std::byte{0});
  return {type, description};
}

std::vector<Note> linux_notes() {
  return {
      text_note(XEN_ELFNOTE_GUEST_OS, "linux"),
      text_note(XEN_ELFNOTE_XEN_VERSION, "xen-3.0"),
      text_note(XEN_ELFNOTE_LOADER, "generic"),
      number_note(XEN_ELFNOTE_VIRT_BASE, virtual_base),
      number_note(XEN_ELFNOTE_INIT_P2M, 0x8000000000),
      number_note(XEN_ELFNOTE_ENTRY, virtual_base + code_address + 0x10),
      number_note(XEN_ELFNOTE_HYPERCALL_PAGE, virtual_base + data_address),
      number_note(XEN_ELFNOTE_PHYS32_ENTRY, code_address + 0x20),
  };
}

std::vector<Note> linux_notes_without(std::uint32_t type) {
  std::vector<Note> notes = linux_notes();
  std::erase_if(notes, [type](const Note& note) { return note.type == type; });
  return notes;
}

Bytes plain_kernel(const std::vector<Note>& notes) {
  const Bytes encoded = encode_notes(notes);
  if (encoded.size() > code_at - notes_at)
    std::abort();
  Bytes file(code_at + 2 * page);
  put_file_header(file);
  put_program_header(file, 0, {PT_LOAD, PF_R | PF_X, code_at, code_address, page, page});
  put_program_header(file, 1, {PT_LOAD, PF_R | PF_W, code_at + page, data_address, page, 2 * page});
  put_program_header(file, 2, {PT_NOTE, PF_R, notes_at, 0, encoded.size(), encoded.size()});
  const std::size_t section = section_headers_at + section_header_size;
  put(file, section + offsetof(Elf64_Shdr, sh_type), SHT_NOTE, 4);
  put(file, section + offsetof(Elf64_Shdr, sh_offset), notes_at, 8);
  put(file, section + offsetof(Elf64_Shdr, sh_size), encoded.size(), 8);
  std::ranges::copy(encoded, file.begin() + notes_at);
  // Neither all zeros nor random, so that the compressors have something to do.
  for (std::size_t i = code_at; i < file.size(); ++i)
    file[i] = static_cast<std::byte>((i * i) >> 5);
  return file;
}

Bytes bzimage(const Bytes& payload) {
  constexpr std::size_t setup_bytes = 2 * 512;
  constexpr std::size_t payload_offset = 0x40;
  const std::size_t code_bytes = (payload_offset + payload.size() + 15) / 16 * 16;
  Bytes file(setup_bytes + code_bytes);
  put(file, 0x1f1, 1, 1); // setup_sects
  put(file, 0x1f4, code_bytes / 16, 4);
  put(file, 0x1fe, 0xaa55, 2);
  std::ranges::copy(as_bytes("HdrS"), file.begin() + 0x202);
  put(file, 0x206, 0x020f, 2);
  put(file, 0x211, 1, 1); // LOADED_HIGH
  put(file, 0x248, payload_offset, 4);
  put(file, 0x24c, payload.size(), 4);
  std::ranges::copy(payload, file.begin() + setup_bytes + payload_offset);
  return file;
}

} // namespace ashlar::inspector::test
