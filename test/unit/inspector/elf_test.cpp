// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <string>

#include <doctest/doctest.h>
#include <elf.h>
#include <xen/elfnote.h>

#include "ashlar/inspector/limits.hpp"
#include "ashlar/inspector/one_reading.hpp"
#include "memory_sink.hpp"

using namespace ashlar;
using namespace ashlar::inspector;
using namespace ashlar::inspector::test;

namespace {

constexpr std::size_t load_header = program_headers_at;
constexpr std::size_t second_load_header = program_headers_at + program_header_size;
constexpr std::size_t note_header = program_headers_at + 2 * program_header_size;
constexpr std::size_t note_section = section_headers_at + section_header_size;

Result<Description> inspect_it(const Bytes& image) {
  MemorySink sink;
  return inspect(image, sink);
}

/// The kernel is refused with this code, and the message names what is wrong.
void check_refused(const Bytes& image, ErrorCode code, const std::string& part) {
  const auto result = inspect_it(image);
  REQUIRE(!result);
  CAPTURE(result.error().message());
  CHECK(to_string(result.error().code) == std::string(to_string(code)));
  CHECK(result.error().message().find(part) != std::string::npos);
}

Bytes kernel_with(std::size_t offset, std::uint64_t value, std::size_t width) {
  Bytes image = plain_kernel();
  put(image, offset, value, width);
  return image;
}

Bytes kernel_with_note(const Note& note) {
  std::vector<Note> notes = linux_notes_without(note.type);
  notes.push_back(note);
  return plain_kernel(notes);
}

} // namespace

TEST_CASE("elf: accepts a kernel for PV and PVH and describes it") {
  const auto result = inspect_it(plain_kernel());
  REQUIRE(result);
  CHECK(result->format == ImageFormat::elf);
  CHECK(result->compression == Compression::none);
  CHECK(result->plain_bytes == plain_kernel().size());
  CHECK(result->pv);
  CHECK(result->pvh);
  CHECK(result->load_bytes == load_end - code_address);
  CHECK(result->guest_os == "linux");
}

TEST_CASE("elf: a kernel without PHYS32_ENTRY is for PV only") {
  const auto result = inspect_it(plain_kernel(linux_notes_without(XEN_ELFNOTE_PHYS32_ENTRY)));
  REQUIRE(result);
  CHECK(result->pv);
  CHECK(!result->pvh);
}

TEST_CASE("elf: a kernel without ENTRY is for PVH only") {
  const auto result = inspect_it(plain_kernel(linux_notes_without(XEN_ELFNOTE_ENTRY)));
  REQUIRE(result);
  CHECK(!result->pv);
  CHECK(result->pvh);
}

TEST_CASE("elf: a kernel for another Xen version is not for PV") {
  const auto result = inspect_it(kernel_with_note(text_note(XEN_ELFNOTE_XEN_VERSION, "xen-2.0")));
  REQUIRE(result);
  CHECK(!result->pv);
}

TEST_CASE("elf: finds the notes in a section when no segment has any") {
  const auto result = inspect_it(kernel_with(note_header, PT_NULL, 4));
  REQUIRE(result);
  CHECK(result->pv);
}

TEST_CASE("elf: rejects notes in section 0, which libxenguest does not look at") {
  Bytes image = kernel_with(note_header, PT_NULL, 4);
  const auto first = image.begin() + section_headers_at;
  std::swap_ranges(first, first + section_header_size, first + section_header_size);
  check_refused(image, ErrorCode::invalid, "section 0 has type 7");
}

TEST_CASE("elf: control characters in GUEST_OS are escaped and the text is cut") {
  const auto result = inspect_it(
      kernel_with_note(text_note(XEN_ELFNOTE_GUEST_OS, "linux\n" + std::string(40, 'x'))));
  REQUIRE(result);
  CHECK(result->guest_os == "linux\\x0a" + std::string(23, 'x'));
}

TEST_CASE("elf: rejects every truncation of a kernel, and never reads past it") {
  const Bytes whole = plain_kernel();
  for (std::size_t size = 0; size < whole.size(); size += size < 0x400 ? 1 : 61)
    CHECK(!inspect_it(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))));
}

TEST_CASE("elf: rejects other classes, byte orders, versions, machines and types") {
  check_refused(kernel_with(EI_CLASS, ELFCLASS32, 1), ErrorCode::unsupported, "class");
  check_refused(kernel_with(EI_DATA, ELFDATA2MSB, 1), ErrorCode::unsupported, "byte order");
  check_refused(kernel_with(EI_VERSION, 2, 1), ErrorCode::invalid, "version");
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_machine), EM_AARCH64, 2), ErrorCode::unsupported,
                "machine");
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_type), ET_REL, 2), ErrorCode::unsupported,
                "type");
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_type), ET_DYN, 2), ErrorCode::unsupported,
                "type");
}

TEST_CASE("elf: rejects what libxenguest's other loaders would take") {
  constexpr std::size_t gap = section_headers_at + 2 * section_header_size + 8;
  static_assert(gap + 12 <= notes_at && gap % 4 == 0);
  Bytes image = plain_kernel();
  put(image, gap, 0x336ec578, 4);
  put(image, gap + 4, 0x00010000, 4);
  CHECK(inspect_it(image)); // its sum is wrong: no header
  put(image, gap + 8, 0u - (0x336ec578u + 0x00010000u), 4);
  check_refused(image, ErrorCode::invalid, "multiboot format at byte 0x170");

  Bytes kernel(8192 + 8);
  CHECK(require_one_reading(kernel));
  put(kernel, 8188, 0x336ec578, 4);
  put(kernel, 8192 + 4, 0u - 0x336ec578u, 4);
  CHECK(!require_one_reading(kernel)); // the last place that is looked at
  kernel.pop_back();
  CHECK(require_one_reading(kernel));
  put(kernel, 0x202, 0x53726448, 4);
  CHECK(!require_one_reading(kernel));
  kernel.resize(0x206);
  CHECK(!require_one_reading(kernel));
  kernel.resize(0x205);
  CHECK(require_one_reading(kernel));
  CHECK(require_one_reading({}));
}

TEST_CASE("elf: rejects a program header past the end of the file") {
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_phoff), 0x3000 - 55, 8), ErrorCode::invalid,
                "program headers");
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_phoff), ~std::uint64_t{0}, 8),
                ErrorCode::invalid, "program headers");
}

TEST_CASE("elf: rejects too many, too few or oddly sized program headers") {
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_phnum), max_program_headers + 1, 2),
                ErrorCode::limit, "program headers");
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_phnum), 0xffff, 2), ErrorCode::limit,
                "program headers");
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_phnum), 0, 2), ErrorCode::invalid,
                "no program headers");
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_phentsize), 32, 2), ErrorCode::invalid,
                "program headers");
}

TEST_CASE("elf: rejects a section table that is too long, out of the file or half there") {
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_shnum), max_section_headers + 1, 2),
                ErrorCode::limit, "section headers");
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_shoff), 0x2fff, 8), ErrorCode::invalid,
                "section headers");
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_shnum), 0, 2), ErrorCode::invalid,
                "section headers");
  check_refused(kernel_with(offsetof(Elf64_Ehdr, e_shstrndx), 2, 2), ErrorCode::invalid,
                "section names");
}

TEST_CASE("elf: rejects a section whose contents pass the end of the file") {
  check_refused(kernel_with(note_section + offsetof(Elf64_Shdr, sh_size), 0x3000, 8),
                ErrorCode::invalid, "section 1");
}

TEST_CASE("elf: rejects a segment that passes the end of the file, also when the sum wraps") {
  check_refused(kernel_with(load_header + offsetof(Elf64_Phdr, p_filesz), 0x2001, 8),
                ErrorCode::invalid, "program header 0");
  check_refused(
      kernel_with(load_header + offsetof(Elf64_Phdr, p_offset), ~std::uint64_t{0} - 16, 8),
      ErrorCode::invalid, "program header 0");
}

TEST_CASE("elf: rejects a segment with more bytes in the file than in memory") {
  check_refused(kernel_with(load_header + offsetof(Elf64_Phdr, p_memsz), 0xfff, 8),
                ErrorCode::invalid, "only 4095 in memory");
}

TEST_CASE("elf: rejects segments that overlap in physical memory") {
  check_refused(
      kernel_with(second_load_header + offsetof(Elf64_Phdr, p_paddr), data_address - 1, 8),
      ErrorCode::invalid, "overlaps");
}

TEST_CASE("elf: rejects a segment that wraps around the address space") {
  check_refused(
      kernel_with(second_load_header + offsetof(Elf64_Phdr, p_paddr), ~std::uint64_t{0} - 0xfff, 8),
      ErrorCode::invalid, "end of the address space");
}

TEST_CASE("elf: rejects a kernel that spans more memory than the limit") {
  check_refused(kernel_with(second_load_header + offsetof(Elf64_Phdr, p_memsz), max_load_bytes, 8),
                ErrorCode::limit, "1073741824");
}

TEST_CASE("elf: rejects a loadable segment without access, which libxenguest would skip") {
  check_refused(kernel_with(load_header + offsetof(Elf64_Phdr, p_flags), 0, 4), ErrorCode::invalid,
                "would not be loaded");
}

TEST_CASE("elf: rejects a kernel that loads nothing") {
  Bytes image = kernel_with(load_header, PT_NULL, 4);
  put(image, second_load_header, PT_NULL, 4);
  check_refused(image, ErrorCode::invalid, "no segment");
}

TEST_CASE("notes: rejects a kernel without Xen notes") {
  check_refused(plain_kernel({}), ErrorCode::unsupported, "not built to start under Xen");
  check_refused(plain_kernel({{XEN_ELFNOTE_PHYS32_ENTRY, Bytes(8), std::string("GNU\0", 4)}}),
                ErrorCode::unsupported, "not built to start under Xen");
}

TEST_CASE("notes: rejects a kernel whose notes allow neither PV nor PVH") {
  check_refused(plain_kernel({text_note(XEN_ELFNOTE_GUEST_OS, "linux")}), ErrorCode::unsupported,
                "neither PHYS32_ENTRY");
}

TEST_CASE("notes: rejects a name or contents that pass the end of the segment") {
  check_refused(kernel_with(notes_at + 4, 0xfffffff0, 4), ErrorCode::invalid, "passes the end");
  check_refused(kernel_with(notes_at + 4, 0x1000, 4), ErrorCode::invalid, "passes the end");
  Bytes other_owner = kernel_with(notes_at + 12, 0, 4);
  put(other_owner, notes_at, 0xffffffff, 4);
  check_refused(other_owner, ErrorCode::invalid, "passes the end");
}

TEST_CASE("notes: rejects a note header cut off by the end of its segment") {
  const Bytes image = kernel_with(note_header + offsetof(Elf64_Phdr, p_filesz), 8, 8);
  check_refused(image, ErrorCode::invalid, "passes the end");
}

TEST_CASE("notes: rejects the owner Xen in a name of another length") {
  check_refused(kernel_with(notes_at, 0, 4), ErrorCode::invalid, "in a name of 0 bytes");
  check_refused(kernel_with_note({200, Bytes(4), std::string("Xen\0zzzz", 8)}), ErrorCode::invalid,
                "in a name of 8 bytes");
}

TEST_CASE("notes: rejects a type that is there twice") {
  std::vector<Note> notes = linux_notes();
  notes.push_back(number_note(XEN_ELFNOTE_PHYS32_ENTRY, code_address));
  check_refused(plain_kernel(notes), ErrorCode::invalid, "twice");
}

TEST_CASE("notes: rejects more notes or note bytes than the limits") {
  const std::vector<Note> many(max_notes + 1, Note{3, {}, std::string("GNU\0", 4)});
  check_refused(plain_kernel(many), ErrorCode::limit, "notes");
  Bytes large = plain_kernel();
  large.resize(large.size() + max_note_bytes + 1);
  put(large, note_header + offsetof(Elf64_Phdr, p_filesz), max_note_bytes + 1, 8);
  check_refused(large, ErrorCode::limit, "65537 bytes");
}

TEST_CASE("notes: rejects a number that is neither 4 nor 8 bytes long") {
  check_refused(kernel_with_note({XEN_ELFNOTE_PHYS32_ENTRY, Bytes(5)}), ErrorCode::invalid,
                "PHYS32_ENTRY");
}

TEST_CASE("notes: rejects a text without an end or above its limit") {
  check_refused(kernel_with_note({XEN_ELFNOTE_GUEST_OS, Bytes(8, std::byte{'x'})}),
                ErrorCode::invalid, "NUL");
  check_refused(kernel_with_note({XEN_ELFNOTE_GUEST_OS, Bytes(65)}), ErrorCode::limit, "GUEST_OS");
}

TEST_CASE("boot: rejects an entry point outside the bytes from the file") {
  for (const std::uint64_t address : {code_address - 1, data_address + 0x1000, load_end}) {
    check_refused(kernel_with_note(number_note(XEN_ELFNOTE_PHYS32_ENTRY, address)),
                  ErrorCode::invalid, "PHYS32_ENTRY");
    check_refused(kernel_with_note(number_note(XEN_ELFNOTE_ENTRY, virtual_base + address)),
                  ErrorCode::invalid, "ENTRY");
  }
}

TEST_CASE("boot: rejects a hypercall page outside the kernel and a P2M inside it") {
  check_refused(kernel_with_note(number_note(XEN_ELFNOTE_HYPERCALL_PAGE, virtual_base + load_end)),
                ErrorCode::invalid, "HYPERCALL_PAGE");
  check_refused(kernel_with_note(number_note(XEN_ELFNOTE_INIT_P2M, virtual_base + code_address)),
                ErrorCode::invalid, "INIT_P2M");
}

TEST_CASE("boot: rejects PADDR_OFFSET without VIRT_BASE and a kernel below VIRT_BASE") {
  std::vector<Note> notes = linux_notes_without(XEN_ELFNOTE_VIRT_BASE);
  notes.push_back(number_note(XEN_ELFNOTE_PADDR_OFFSET, 0));
  check_refused(plain_kernel(notes), ErrorCode::invalid, "VIRT_BASE is not");
  check_refused(kernel_with_note(number_note(XEN_ELFNOTE_PADDR_OFFSET, code_address + 1)),
                ErrorCode::invalid, "VIRT_BASE");
}

TEST_CASE("boot: rejects a PVH kernel above 4 GiB") {
  Bytes pvh_only = plain_kernel({number_note(XEN_ELFNOTE_PHYS32_ENTRY, 0xffffe000)});
  put(pvh_only, second_load_header + offsetof(Elf64_Phdr, p_paddr), 0xfffff000, 8);
  put(pvh_only, load_header + offsetof(Elf64_Phdr, p_paddr), 0xffffe000, 8);
  check_refused(pvh_only, ErrorCode::invalid, "32-bit mode");
}
