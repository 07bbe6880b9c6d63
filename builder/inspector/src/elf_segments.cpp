// SPDX-License-Identifier: LGPL-2.1-or-later
#include "elf_segments.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>

#include <elf.h>
#include <fmt/format.h>

#include "ashlar/inspector/limits.hpp"

namespace ashlar::inspector {

namespace {

std::unexpected<Error> refuse(ErrorCode code, std::string why) {
  return failure(code, "checking what the ELF kernel loads", std::move(why));
}

Status check_load(const Segment& segment) {
  if ((segment.flags & (PF_R | PF_W | PF_X)) == 0)
    return refuse(
        ErrorCode::invalid,
        fmt::format("the segment at physical address {:#x} is neither readable, writable nor "
                    "executable, so it would not be loaded",
                    segment.physical));
  if (segment.contents.size() > segment.memory_bytes)
    return refuse(
        ErrorCode::invalid,
        fmt::format("the segment at physical address {:#x} has {} bytes in the file, but only "
                    "{} in memory",
                    segment.physical, segment.contents.size(), segment.memory_bytes));
  if (segment.memory_bytes > std::numeric_limits<std::uint64_t>::max() - segment.physical)
    return refuse(
        ErrorCode::invalid,
        fmt::format("the segment at physical address {:#x} with {} bytes passes the end of "
                    "the address space",
                    segment.physical, segment.memory_bytes));
  return {};
}

Status check_disjoint(std::span<const Segment> by_address) {
  for (std::size_t i = 1; i < by_address.size(); ++i) {
    if (by_address[i].physical < by_address[i - 1].physical_end())
      return refuse(
          ErrorCode::invalid,
          fmt::format("the segment at physical address {:#x} overlaps the one at {:#x}, which "
                      "ends at {:#x}",
                      by_address[i].physical, by_address[i - 1].physical,
                      by_address[i - 1].physical_end()));
  }
  return {};
}

} // namespace

Result<LoadMap> LoadMap::of(std::span<const Segment> segments) {
  LoadMap map;
  for (const Segment& segment : segments) {
    if (segment.type != PT_LOAD)
      continue;
    TRY(check_load(segment));
    if (segment.memory_bytes != 0)
      map.loads_.push_back(segment);
  }
  if (map.loads_.empty())
    return refuse(ErrorCode::invalid, "no segment is to be loaded (PT_LOAD)");
  std::ranges::sort(map.loads_, {}, &Segment::physical);
  TRY(check_disjoint(map.loads_));
  if (map.end() - map.start() > max_load_bytes)
    return refuse(ErrorCode::limit,
                  fmt::format("it spans {} bytes, from {:#x} to {:#x}; the limit is {} bytes",
                              map.end() - map.start(), map.start(), map.end(), max_load_bytes));
  return map;
}

bool LoadMap::has_file_byte(std::uint64_t physical) const {
  return std::ranges::any_of(loads_, [physical](const Segment& load) {
    return physical >= load.physical && physical - load.physical < load.contents.size();
  });
}

Result<std::vector<Segment>> read_segments(std::span<const std::byte> file,
                                           const ElfHeader& header) {
  std::vector<Segment> segments;
  for (std::uint16_t i = 0; i < header.program_header_count; ++i) {
    const FileRange entry =
        TRY(FileRange::within(header.program_headers.bytes(), i * program_header_bytes,
                              program_header_bytes, fmt::format("program header {}", i)));
    Segment segment;
    segment.type = entry.u32(offsetof(Elf64_Phdr, p_type));
    segment.flags = entry.u32(offsetof(Elf64_Phdr, p_flags));
    segment.contents = TRY(FileRange::within(
        file, entry.u64(offsetof(Elf64_Phdr, p_offset)), entry.u64(offsetof(Elf64_Phdr, p_filesz)),
        fmt::format("the contents of program header {} of the ELF kernel", i)));
    segment.physical = entry.u64(offsetof(Elf64_Phdr, p_paddr));
    segment.memory_bytes = entry.u64(offsetof(Elf64_Phdr, p_memsz));
    segments.push_back(segment);
  }
  return segments;
}

} // namespace ashlar::inspector
