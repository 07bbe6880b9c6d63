// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/constructor/initrd_module.hpp"

#include <algorithm>
#include <cstdint>

namespace ashlar::constructor {

namespace {

// xc_dom_check_gzip() adds this to the size in the trailer.
constexpr std::uint64_t libxenguest_slack = 16;
constexpr std::size_t smallest_gzip = 6; // below this, libxenguest does not look
constexpr std::byte gzip_magic[] = {std::byte{0x1f}, std::byte{0x8b}};

std::size_t padded(std::size_t size) {
  return (size + initrd_alignment - 1) / initrd_alignment * initrd_alignment;
}

std::vector<std::byte> joined(std::span<const std::span<const std::byte>> initrds) {
  std::size_t total = initrd_alignment; // room for the zeros that may have to go first
  for (const auto initrd : initrds)
    total += padded(initrd.size());
  std::vector<std::byte> module;
  module.reserve(total);
  for (const auto initrd : initrds) {
    module.insert(module.end(), initrd.begin(), initrd.end());
    module.resize(padded(module.size()));
  }
  return module;
}

} // namespace

bool libxenguest_would_unpack(std::span<const std::byte> module) {
  if (module.size() < smallest_gzip || !std::ranges::equal(module.first(2), gzip_magic))
    return false;
  std::uint64_t unpacked = 0;
  for (const std::byte byte : {module[module.size() - 1], module[module.size() - 2],
                               module[module.size() - 3], module[module.size() - 4]})
    unpacked = (unpacked << 8) | std::to_integer<std::uint64_t>(byte);
  return unpacked + libxenguest_slack <= module.size();
}

InitrdModule initrd_module(std::span<const std::span<const std::byte>> initrds) {
  InitrdModule module;
  if (initrds.size() == 1 && !libxenguest_would_unpack(initrds.front())) {
    module.borrowed_ = initrds.front();
    return module;
  }
  module.own_ = joined(initrds);
  if (libxenguest_would_unpack(module.own_))
    module.own_.insert(module.own_.begin(), initrd_alignment, std::byte{0});
  return module;
}

} // namespace ashlar::constructor
