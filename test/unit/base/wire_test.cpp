// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"

using ashlar::WireReader;
using ashlar::WireWriter;

TEST_CASE("wire: values are little-endian and come back") {
  WireWriter writer;
  writer.u8(7);
  writer.u32(0x01020304);
  writer.u64(5);
  writer.text("ab");
  CHECK(ashlar::to_hex(writer.bytes()) == "0704030201"
                                          "0500000000000000"
                                          "020000006162");
  WireReader reader(writer.bytes());
  CHECK(reader.u8() == 7);
  CHECK(reader.u32() == 0x01020304);
  CHECK(reader.u64() == 5);
  CHECK(reader.text(2) == "ab");
  CHECK(reader.end("test"));
}

TEST_CASE("wire: a text above its limit, or past the end, is refused") {
  WireWriter writer;
  writer.text("abc");
  WireReader too_long(writer.bytes());
  CHECK(too_long.text(2).empty());
  CHECK_FALSE(too_long.end("test"));
  WireReader cut(std::span(writer.bytes()).first(6));
  CHECK(cut.text(10).empty());
  CHECK_FALSE(cut.end("test"));
}

TEST_CASE("wire: bytes left over are an error") {
  WireWriter writer;
  writer.u32(1);
  WireReader reader(writer.bytes());
  CHECK(reader.u8() == 1);
  CHECK_FALSE(reader.end("test"));
}
