// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <sys/mman.h>
#include <unistd.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/mapping.hpp"
#include "ashlar/base/memory_file.hpp"

TEST_CASE("memory file: a sealed one takes no more bytes and cannot shrink") {
  auto file = ashlar::create_memory_file("test");
  REQUIRE(file);
  REQUIRE(ashlar::write_all(file->value(), ashlar::as_bytes("stone"), "test"));
  CHECK_FALSE(ashlar::require_sealed(file->value(), "test"));
  REQUIRE(ashlar::seal(file->value(), "test"));
  CHECK(ashlar::require_sealed(file->value(), "test"));
  CHECK(::write(file->value(), "x", 1) == -1);
  CHECK(::ftruncate(file->value(), 1) == -1);
  CHECK(::mmap(nullptr, 5, PROT_READ | PROT_WRITE, MAP_SHARED, file->value(), 0) == MAP_FAILED);
  const auto mapping = ashlar::Mapping::of(file->value(), "test");
  REQUIRE(mapping);
  CHECK(ashlar::to_hex(mapping->bytes()) == ashlar::to_hex(ashlar::as_bytes("stone")));
}

TEST_CASE("memory file: reading a file stops at the limit and names it") {
  const auto text = ashlar::read_file("/proc/self/status", 10);
  REQUIRE_FALSE(text);
  CHECK(text.error().code == ashlar::ErrorCode::limit);
  CHECK(text.error().message() == "reading /proc/self/status: the file is larger than 10 bytes");
}

TEST_CASE("memory file: a missing file says which one") {
  const auto text = ashlar::read_file("/nonexistent", 10);
  REQUIRE_FALSE(text);
  CHECK(text.error().code == ashlar::ErrorCode::not_found);
  CHECK(text.error().message() == "opening /nonexistent: No such file or directory");
}
