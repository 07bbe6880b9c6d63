// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"

TEST_CASE("bytes: hexadecimal goes there and back") {
  const auto bytes = ashlar::from_hex("00fFa5");
  REQUIRE(bytes);
  CHECK(ashlar::to_hex(*bytes) == "00ffa5");
}

TEST_CASE("bytes: odd or foreign digits are no hexadecimal") {
  CHECK_FALSE(ashlar::from_hex("abc"));
  CHECK_FALSE(ashlar::from_hex("zz"));
}

TEST_CASE("bytes: printable text cannot break a line or hide an escape") {
  CHECK(ashlar::printable("a\nb\\x1b") == "a\\x0ab\\x5cx1b");
  CHECK(ashlar::printable("abcdef", 3) == "abc…");
}
