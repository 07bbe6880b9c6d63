// SPDX-License-Identifier: LGPL-2.1-or-later
#include "archive.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/limits.hpp"

namespace ashlar::evidence {

namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t block_bytes = 512;
constexpr std::size_t max_members = 64;

// A field of the header: where it begins, how long it is.
struct Field {
  std::size_t at;
  std::size_t size;
};
constexpr Field name_field = {0, 100};
constexpr Field size_field = {124, 12};
constexpr Field checksum_field = {148, 8};
constexpr Field type_field = {156, 1};
constexpr Field link_field = {157, 100};
constexpr Field magic_field = {257, 8};
constexpr Field prefix_field = {345, 155};
constexpr std::string_view magic("ustar\00000", 8);

std::string_view text_of(Bytes header, Field field) {
  const Bytes bytes = header.subspan(field.at, field.size);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool zeros(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

std::unexpected<Error> bad(std::size_t at, const std::string& why) {
  return failure(ErrorCode::invalid, "reading the archive", fmt::format("at byte {}: {}", at, why));
}

// Octal digits, then spaces or zeros to the field's end: as every writer of ustar has them.
Result<std::uint64_t> octal(Bytes header, Field field, std::size_t at) {
  const std::string_view text = text_of(header, field);
  const std::size_t digits = std::min(text.find_first_not_of("01234567"), text.size());
  const bool padded = text.find_first_not_of(std::string_view(" \0", 2), digits) == text.npos;
  if (digits == 0 || digits == text.size() || !padded)
    return bad(at + field.at, "a number that is not octal");
  std::uint64_t value = 0; // at most 11 digits: 33 bits
  for (const char digit : text.substr(0, digits))
    value = value * 8 + static_cast<std::uint64_t>(digit - '0');
  return value;
}

// The sum of the header's bytes, with spaces for the checksum itself.
std::uint64_t checksum(Bytes header) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < header.size(); ++i) {
    const bool own = i >= checksum_field.at && i < checksum_field.at + checksum_field.size;
    sum += own ? std::uint64_t{' '} : std::to_integer<std::uint64_t>(header[i]);
  }
  return sum;
}

Result<std::string> name_of(Bytes header, std::size_t at) {
  const std::string_view field = text_of(header, name_field);
  const std::string_view name = field.substr(0, std::min(field.find('\0'), field.size()));
  if (name.empty() || !zeros(header.subspan(name.size(), name_field.size - name.size())))
    return bad(at, "a name that is empty or goes on behind its end");
  return std::string(name);
}

Status check_header(Bytes header, std::size_t at) {
  if (text_of(header, magic_field) != magic)
    return bad(at, "this is no ustar header: pack the files with \"tar --format=ustar\"");
  if (TRY(octal(header, checksum_field, at)) != checksum(header))
    return bad(at, "the header's checksum is wrong");
  if (text_of(header, type_field) != "0")
    return bad(at, "only regular files belong into a bundle");
  if (!zeros(header.subspan(link_field.at, link_field.size)) ||
      !zeros(header.subspan(prefix_field.at, prefix_field.size)))
    return bad(at, "a link's target or a name's prefix is set");
  return {};
}

std::size_t padded_size(std::uint64_t size) {
  return (static_cast<std::size_t>(size) + block_bytes - 1) / block_bytes * block_bytes;
}

} // namespace

Result<std::vector<ArchiveMember>> read_archive(std::span<const std::byte> bytes) {
  if (bytes.size() > max_bundle_bytes)
    return limit_failure("reading the archive", fmt::format("it has {} bytes", bytes.size()),
                         fmt::format("{} bytes", max_bundle_bytes));
  std::vector<ArchiveMember> members;
  std::size_t at = 0;
  for (;;) {
    const Bytes rest = bytes.subspan(at);
    if (rest.size() < 2 * block_bytes || rest.size() % block_bytes != 0)
      return bad(at, "it is cut off: two blocks of zeros must end it");
    const Bytes header = rest.first(block_bytes);
    if (zeros(header))
      return zeros(rest) ? Result<std::vector<ArchiveMember>>(std::move(members))
                         : bad(at, "something stands behind its end");
    TRY(check_header(header, at));
    const std::uint64_t size = TRY(octal(header, size_field, at));
    const Bytes content = rest.subspan(block_bytes);
    if (size > content.size() || padded_size(size) > content.size())
      return bad(at, "a file goes on behind the archive's end");
    if (!zeros(content.subspan(static_cast<std::size_t>(size),
                               padded_size(size) - static_cast<std::size_t>(size))))
      return bad(at, "something is hidden behind a file's end");
    if (members.size() == max_members)
      return bad(at, "too many files");
    members.push_back({TRY(name_of(header, at)), content.first(static_cast<std::size_t>(size))});
    at += block_bytes + padded_size(size);
  }
}

} // namespace ashlar::evidence
