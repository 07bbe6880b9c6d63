// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/inspector/one_reading.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <fmt/format.h>

namespace ashlar::inspector {

namespace {

constexpr std::size_t bzimage_signature_at = 0x202;
constexpr std::uint32_t bzimage_signature = 0x53726448; // "HdrS"
constexpr std::uint32_t multiboot_magic = 0x336ec578;
constexpr std::size_t multiboot_search_bytes = 8192;
constexpr std::size_t multiboot_sum_bytes = 12; // magic, flags, checksum: they add up to 0

/// The little-endian number at `offset`, which has four bytes.
std::uint32_t number_at(std::span<const std::byte> kernel, std::size_t offset) {
  std::uint32_t number = 0;
  std::memcpy(&number, kernel.data() + offset, sizeof number); // x86-64 alone
  return number;
}

std::unexpected<Error> ambiguous(const char* what, std::size_t offset) {
  return failure(ErrorCode::invalid, "inspecting the ELF kernel",
                 fmt::format("it has the header of {} at byte {:#x}, for which Xen would not load "
                             "it as the ELF file that it begins like",
                             what, offset));
}

} // namespace

Status require_one_reading(std::span<const std::byte> kernel) {
  if (kernel.size() >= bzimage_signature_at + sizeof bzimage_signature &&
      number_at(kernel, bzimage_signature_at) == bzimage_signature)
    return ambiguous("a bzImage", bzimage_signature_at);
  for (std::size_t offset = 0;
       offset < multiboot_search_bytes && offset + multiboot_sum_bytes <= kernel.size();
       offset += sizeof multiboot_magic)
    if (number_at(kernel, offset) == multiboot_magic &&
        multiboot_magic + number_at(kernel, offset + 4) + number_at(kernel, offset + 8) == 0)
      return ambiguous("Xen's multiboot format", offset);
  return {};
}

} // namespace ashlar::inspector
