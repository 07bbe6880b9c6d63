// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/constructor/memory_layout.hpp"
#include "ashlar/constructor/memory_need.hpp"

using namespace ashlar;
using namespace ashlar::constructor;

namespace {
constexpr std::uint64_t mib = 1024 * 1024;
}

TEST_CASE("memory layout: what fits below the hole stays below it") {
  CHECK(lay_out(256 * 1024) == MemoryLayout{.low_end = 256 * mib, .high_end = 0});
  CHECK(lay_out(mmio_start / 1024) == MemoryLayout{.low_end = mmio_start, .high_end = 0});
}

TEST_CASE("memory layout: the rest goes above 4 GiB and nothing is lost") {
  const MemoryLayout layout = lay_out(8 * 1024 * 1024);
  CHECK(layout.low_end == mmio_start);
  CHECK(layout.low_end + (layout.high_end - four_gib) == 8192 * mib);
  CHECK(lay_out(mmio_start / 1024 + 1024).high_end == four_gib + mib);
}

TEST_CASE("memory map: RAM, tables and special pages, rising, without overlap") {
  const auto map = memory_map(lay_out(8 * 1024 * 1024), 4097);
  REQUIRE(map.size() == 4);
  CHECK(map[0] == MemoryRange{.start = 0, .size = mmio_start, .type = MemoryType::ram});
  CHECK(map[1] == MemoryRange{.start = 0xfc000000, .size = 8192, .type = MemoryType::acpi});
  CHECK(map[2] == MemoryRange{.start = 0xfeff8000, .size = 0x8000, .type = MemoryType::reserved});
  CHECK(map[3].start == four_gib);
  for (std::size_t i = 1; i < map.size(); i++)
    CHECK(map[i - 1].start + map[i - 1].size <= map[i].start);
}

TEST_CASE("memory map: a small guest has no high RAM") {
  CHECK(memory_map(lay_out(64 * 1024), 1).size() == 3);
}

TEST_CASE("memory need: a kernel and initrd that fit are accepted") {
  CHECK(check_memory_need(52 * mib, 6 * mib, 128 * 1024));
}

TEST_CASE("memory need: too little memory is refused with the sizes") {
  const auto status = check_memory_need(52 * mib, 6 * mib, 56 * 1024);
  REQUIRE_FALSE(status);
  CHECK(status.error().code == ErrorCode::limit);
  CHECK(status.error().why ==
        "the loaded kernel ends at 52 MiB, the initrds take 6 MiB and tables 2 MiB, but the domain "
        "has 56 MiB; give it more memory than the sum");
}

TEST_CASE("memory need: sizes that would overflow a sum are refused") {
  CHECK_FALSE(check_memory_need(~std::uint64_t{0}, 2, 128 * 1024));
  CHECK_FALSE(check_memory_need(2, ~std::uint64_t{0}, 128 * 1024));
}
