// SPDX-License-Identifier: LGPL-2.1-or-later
#include "pe_file.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

#include "ashlar/signature/limits.hpp"

namespace ashlar::signature {

namespace {

const std::string doing = "reading the PE headers of the image";

// "PE Format": offsets within the file, the COFF header, the optional header and a section header.
constexpr std::uint64_t header_place = 0x3c;
constexpr std::uint32_t pe_magic = 0x00004550; // "PE\0\0"
constexpr std::uint64_t section_count_at = 6;
constexpr std::uint64_t optional_size_at = 20;
constexpr std::uint64_t optional_at = 24;
constexpr std::uint16_t pe32 = 0x10b;
constexpr std::uint16_t pe32_plus = 0x20b;
constexpr std::uint64_t headers_size_at = 60;
constexpr std::uint64_t checksum_at = 64;
constexpr std::uint64_t directories_at_pe32 = 96;
constexpr std::uint64_t directories_at_pe32_plus = 112;
constexpr std::uint32_t certificate_directory = 4;
constexpr std::uint64_t directory_bytes = 8;
constexpr std::uint64_t section_bytes = 40;
constexpr std::uint32_t linux_name[] = {0x6e696c2e, 0x00007875}; // ".linux", filled up with zeros
constexpr std::uint64_t raw_size_at = 16;
constexpr std::uint64_t raw_place_at = 20;
// WIN_CERTIFICATE.
constexpr std::uint64_t entry_head_bytes = 8;
constexpr std::uint64_t entry_alignment = 8;
constexpr std::uint16_t revision_2 = 0x0200;
constexpr std::uint16_t type_pkcs7 = 0x0002;

/// Little-endian numbers of a file. What lies outside reads as zero and is remembered.
class Numbers {
public:
  explicit Numbers(std::span<const std::byte> file) : file_(file) {}

  std::uint16_t u16(std::uint64_t at) { return static_cast<std::uint16_t>(number(at, 2)); }
  std::uint32_t u32(std::uint64_t at) { return static_cast<std::uint32_t>(number(at, 4)); }
  [[nodiscard]] bool inside() const { return inside_; }

private:
  std::uint64_t number(std::uint64_t at, std::uint64_t width) {
    if (at > file_.size() || width > file_.size() - at) {
      inside_ = false;
      return 0;
    }
    std::uint64_t value = 0;
    for (std::uint64_t i = width; i-- > 0;)
      value = value << 8 | std::to_integer<std::uint64_t>(file_[at + i]);
    return value;
  }

  std::span<const std::byte> file_;
  bool inside_ = true;
};

struct Section {
  std::uint64_t place = 0;
  std::uint64_t size = 0;
};

struct Headers {
  std::uint64_t checksum = 0;  // where the checksum is
  std::uint64_t directory = 0; // where the place of the certificate table is
  std::uint64_t headers_end = 0;
  std::uint64_t table = 0; // the certificate table
  std::uint64_t table_size = 0;
  std::vector<Section> sections; // that have bytes, in file order
  bool unified = false;          // a section is named ".linux"
};

std::unexpected<Error> broken(std::string why) {
  return failure(ErrorCode::invalid, doing, std::move(why));
}

Result<std::vector<Section>> read_sections(Numbers& numbers, std::uint64_t at,
                                           std::uint16_t count) {
  if (count > max_sections)
    return limit_failure(doing, fmt::format("it has {} sections", count),
                         fmt::format("{} sections", max_sections));
  std::vector<Section> sections;
  for (std::uint16_t i = 0; i < count; ++i, at += section_bytes) {
    const Section section{numbers.u32(at + raw_place_at), numbers.u32(at + raw_size_at)};
    if (section.size != 0)
      sections.push_back(section);
  }
  std::ranges::sort(sections, {}, &Section::place);
  return sections;
}

bool has_linux_section(Numbers& numbers, std::uint64_t at, std::uint16_t count) {
  for (std::uint16_t i = 0; i < count; ++i, at += section_bytes)
    if (numbers.u32(at) == linux_name[0] && numbers.u32(at + 4) == linux_name[1])
      return true;
  return false;
}

Result<Headers> read_headers(Numbers& numbers) {
  if (numbers.u16(0) != 0x5a4d) // "MZ"
    return failure(ErrorCode::unsupported, doing, "it is no PE image: it cannot carry a signature");
  const std::uint64_t pe = numbers.u32(header_place);
  if (numbers.u32(pe) != pe_magic)
    return failure(ErrorCode::unsupported, doing, "it is no PE image: it cannot carry a signature");
  const std::uint64_t optional = pe + optional_at;
  const std::uint64_t optional_size = numbers.u16(pe + optional_size_at);
  const std::uint16_t magic = numbers.u16(optional);
  if (magic != pe32 && magic != pe32_plus)
    return broken(fmt::format("its optional header has the unknown magic {:#x}", magic));
  const std::uint64_t directories = magic == pe32 ? directories_at_pe32 : directories_at_pe32_plus;
  const std::uint32_t directory_count = numbers.u32(optional + directories - 4);
  Headers headers;
  headers.checksum = optional + checksum_at;
  headers.directory = optional + directories + certificate_directory * directory_bytes;
  headers.headers_end = numbers.u32(optional + headers_size_at);
  if (directory_count <= certificate_directory ||
      directories + (certificate_directory + 1) * directory_bytes > optional_size)
    return broken("it has no place for a signature");
  headers.table = numbers.u32(headers.directory);
  headers.table_size = numbers.u32(headers.directory + 4);
  const std::uint16_t section_count = numbers.u16(pe + section_count_at);
  headers.sections = TRY(read_sections(numbers, optional + optional_size, section_count));
  headers.unified = has_linux_section(numbers, optional + optional_size, section_count);
  const std::uint64_t table_of_sections_end =
      optional + optional_size + section_count * section_bytes;
  if (!numbers.inside() || headers.headers_end < table_of_sections_end)
    return broken("its headers end early");
  return headers;
}

/// The digest is taken section by section. Where these leave a gap, lie across each other or reach
/// into the certificate table, its bytes would have more than one reading.
Status check_layout(const Headers& headers, std::uint64_t unsigned_from) {
  std::uint64_t end = headers.headers_end;
  for (const Section& section : headers.sections) {
    if (section.place != end)
      return broken(fmt::format("a section begins at byte {} and what is before it ends at {}: its "
                                "bytes are not covered once each",
                                section.place, end));
    end += section.size;
  }
  if (end > unsigned_from)
    return broken("its sections reach past its end, or into its signatures");
  return {};
}

Result<std::vector<std::span<const std::byte>>> read_table(std::span<const std::byte> table) {
  Numbers numbers(table);
  std::vector<std::span<const std::byte>> entries;
  std::uint64_t at = 0;
  while (at < table.size()) {
    const std::uint64_t size = numbers.u32(at);
    const std::uint16_t revision = numbers.u16(at + 4);
    const std::uint16_t type = numbers.u16(at + 6);
    if (!numbers.inside() || size < entry_head_bytes || size > table.size() - at)
      return broken("an entry of its certificate table does not fit in it");
    if (revision == revision_2 && type == type_pkcs7)
      entries.push_back(table.subspan(at + entry_head_bytes, size - entry_head_bytes));
    if (entries.size() > max_image_signatures)
      return limit_failure(doing, "it has too many signatures",
                           fmt::format("{} signatures", max_image_signatures));
    at += (size + entry_alignment - 1) / entry_alignment * entry_alignment;
  }
  return entries;
}

} // namespace

Result<PeFile> read_pe(std::span<const std::byte> file) {
  Numbers numbers(file);
  const Headers headers = TRY(read_headers(numbers));
  PeFile pe;
  pe.unified = headers.unified;
  std::uint64_t covered_end = file.size();
  if (headers.table_size != 0) {
    if (headers.table_size > max_certificate_table_bytes)
      return limit_failure(doing,
                           fmt::format("its certificate table has {} bytes", headers.table_size),
                           fmt::format("{} bytes", max_certificate_table_bytes));
    if (headers.table > file.size() || headers.table_size != file.size() - headers.table)
      return broken("its certificate table is not the end of the file");
    covered_end = headers.table;
  }
  TRY(check_layout(headers, covered_end));
  const std::uint64_t after_checksum = headers.checksum + 4;
  const std::uint64_t after_directory = headers.directory + directory_bytes;
  if (after_directory > headers.headers_end || headers.headers_end > covered_end)
    return broken("its headers end early");
  pe.covered = {file.first(headers.checksum),
                file.subspan(after_checksum, headers.directory - after_checksum),
                file.subspan(after_directory, covered_end - after_directory)};
  if (headers.table_size != 0)
    pe.signatures = TRY(read_table(file.subspan(covered_end)));
  return pe;
}

} // namespace ashlar::signature
