// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/attest/archive.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <string>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"

namespace ashlar::attest {

namespace {

constexpr std::size_t block_bytes = 512;
using Header = std::array<char, block_bytes>;

// Offsets of the header's fields.
constexpr std::size_t name_at = 0, mode_at = 100, owner_at = 108, group_at = 116, size_at = 124;
constexpr std::size_t time_at = 136, sum_at = 148, type_at = 156, magic_at = 257;
constexpr std::size_t sum_bytes = 8;

void put_text(Header& header, std::size_t at, std::string_view text) {
  std::ranges::copy(text, header.begin() + static_cast<std::ptrdiff_t>(at));
}

Header make_header(std::string_view name, std::size_t size) {
  Header header{};
  put_text(header, name_at, name);
  put_text(header, mode_at, "0000644");
  put_text(header, owner_at, "0000000");
  put_text(header, group_at, "0000000");
  put_text(header, size_at, fmt::format("{:011o}", size));
  put_text(header, time_at, "00000000000");
  put_text(header, type_at, "0"); // a regular file
  put_text(header, magic_at, std::string_view("ustar\00000", 8));
  // The sum of all bytes, its own field counted as spaces.
  put_text(header, sum_at, std::string(sum_bytes, ' '));
  const auto add = [](unsigned sum, char byte) { return sum + static_cast<unsigned char>(byte); };
  const unsigned sum = std::accumulate(header.begin(), header.end(), 0U, add);
  put_text(header, sum_at, fmt::format("{:06o}", sum) + '\0');
  return header;
}

} // namespace

void Archive::add(std::string_view name, std::span<const std::byte> content) {
  const Header header = make_header(name, content.size());
  const auto bytes = std::as_bytes(std::span(header));
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  bytes_.insert(bytes_.end(), content.begin(), content.end());
  bytes_.resize((bytes_.size() + block_bytes - 1) / block_bytes * block_bytes);
}

Bytes Archive::finish() {
  bytes_.resize(bytes_.size() + 2 * block_bytes);
  return std::move(bytes_);
}

} // namespace ashlar::attest
