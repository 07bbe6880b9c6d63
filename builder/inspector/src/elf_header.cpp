// SPDX-License-Identifier: LGPL-2.1-or-later
#include "elf_header.hpp"

#include <algorithm>
#include <string>

#include <elf.h>
#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/inspector/limits.hpp"

namespace ashlar::inspector {

namespace {

std::unexpected<Error> refuse(ErrorCode code, std::string why) {
  return failure(code, "reading the file header of the ELF kernel", std::move(why));
}

Status check_identification(const FileRange& header) {
  if (header.u8(EI_CLASS) != ELFCLASS64)
    return refuse(
        ErrorCode::unsupported,
        fmt::format("its class is {}; only 64-bit kernels (2) are built", header.u8(EI_CLASS)));
  if (header.u8(EI_DATA) != ELFDATA2LSB)
    return refuse(ErrorCode::unsupported, "its byte order is not little-endian");
  if (header.u8(EI_VERSION) != EV_CURRENT ||
      header.u32(offsetof(Elf64_Ehdr, e_version)) != EV_CURRENT)
    return refuse(ErrorCode::invalid, "its ELF version is not 1");
  const std::uint16_t machine = header.u16(offsetof(Elf64_Ehdr, e_machine));
  if (machine != EM_X86_64)
    return refuse(ErrorCode::unsupported,
                  fmt::format("its machine is {}; only x86-64 ({}) is built", machine, EM_X86_64));
  const std::uint16_t type = header.u16(offsetof(Elf64_Ehdr, e_type));
  if (type != ET_EXEC)
    return refuse(
        ErrorCode::unsupported,
        fmt::format("its type is {}; a kernel has fixed addresses: ET_EXEC ({})", type, ET_EXEC));
  if (header.u16(offsetof(Elf64_Ehdr, e_ehsize)) != sizeof(Elf64_Ehdr))
    return refuse(ErrorCode::invalid, "its header size is not 64 bytes");
  return {};
}

/// A table of `count` entries. `limit` bounds the count, `entry_bytes` is what an entry must have.
Result<FileRange> find_table(std::span<const std::byte> file, std::uint64_t offset,
                             std::uint16_t count, std::uint16_t entry_size, std::size_t entry_bytes,
                             std::uint32_t limit, const std::string& item) {
  if (count > limit)
    return refuse(ErrorCode::limit,
                  fmt::format("it has {} {}; the limit is {}", count, item, limit));
  if (entry_size != entry_bytes)
    return refuse(ErrorCode::invalid,
                  fmt::format("its {} have {} bytes each, not {}", item, entry_size, entry_bytes));
  return FileRange::within(file, offset, count * entry_bytes, "the " + item + " of the ELF kernel");
}

Result<FileRange> find_section_headers(std::span<const std::byte> file, const FileRange& header) {
  const std::uint64_t offset = header.u64(offsetof(Elf64_Ehdr, e_shoff));
  const std::uint16_t count = header.u16(offsetof(Elf64_Ehdr, e_shnum));
  // With one of them zero, some readers look for the count in the first section header.
  if ((offset == 0) != (count == 0))
    return refuse(ErrorCode::invalid,
                  fmt::format("it has {} section headers at byte {}: neither or both must be 0",
                              count, offset));
  if (count == 0)
    return FileRange{};
  const std::uint16_t names = header.u16(offsetof(Elf64_Ehdr, e_shstrndx));
  if (names >= count)
    return refuse(ErrorCode::invalid,
                  fmt::format("its section names are in section {} of {}", names, count));
  return find_table(file, offset, count, header.u16(offsetof(Elf64_Ehdr, e_shentsize)),
                    section_header_bytes, max_section_headers, "section headers");
}

} // namespace

bool has_elf_magic(std::span<const std::byte> file) {
  const auto magic = as_bytes(std::string_view(ELFMAG, SELFMAG));
  return file.size() >= magic.size() && std::ranges::equal(file.first(magic.size()), magic);
}

Result<ElfHeader> read_elf_header(std::span<const std::byte> file) {
  if (!has_elf_magic(file))
    return refuse(ErrorCode::invalid, "it does not start with the ELF magic number");
  const FileRange header =
      TRY(FileRange::within(file, 0, sizeof(Elf64_Ehdr), "the file header of the ELF kernel"));
  TRY(check_identification(header));
  ElfHeader result;
  result.program_header_count = header.u16(offsetof(Elf64_Ehdr, e_phnum));
  result.section_header_count = header.u16(offsetof(Elf64_Ehdr, e_shnum));
  if (result.program_header_count == 0)
    return refuse(ErrorCode::invalid, "it has no program headers, so nothing to load");
  result.program_headers =
      TRY(find_table(file, header.u64(offsetof(Elf64_Ehdr, e_phoff)), result.program_header_count,
                     header.u16(offsetof(Elf64_Ehdr, e_phentsize)), program_header_bytes,
                     max_program_headers, "program headers"));
  result.section_headers = TRY(find_section_headers(file, header));
  return result;
}

} // namespace ashlar::inspector
