// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/constructor/initrd_module.hpp"

using namespace ashlar;
using constructor::initrd_module, constructor::libxenguest_would_unpack;
using Bytes = std::vector<std::byte>;

namespace {

/// A file of `size` bytes that looks like gzip and says that `unpacked` bytes are in it.
Bytes gzip_like(std::size_t size, std::uint32_t unpacked) {
  Bytes file(size, std::byte{0x55});
  file[0] = std::byte{0x1f};
  file[1] = std::byte{0x8b};
  for (std::size_t i = 0; i < 4; i++)
    file[size - 4 + i] = static_cast<std::byte>(unpacked >> (8 * i));
  return file;
}

std::string module_hex(const std::vector<Bytes>& initrds) {
  std::vector<std::span<const std::byte>> spans(initrds.begin(), initrds.end());
  return to_hex(initrd_module(spans).bytes());
}

Bytes bytes(const char* hex) {
  return *from_hex(hex);
}

} // namespace

TEST_CASE("initrd module: none is empty") {
  CHECK(module_hex({}).empty());
}

TEST_CASE("initrd module: a single initrd is handed over where it is") {
  const Bytes initrd = bytes("0102030405");
  const std::span<const std::byte> spans[] = {initrd};
  const auto module = initrd_module(spans);
  CHECK(module.bytes().data() == initrd.data());
  CHECK(module.bytes().size() == initrd.size());
}

TEST_CASE("initrd module: several follow each other in order, each padded to four bytes") {
  CHECK(module_hex({bytes("0102030405"), bytes("06"), bytes("0708090a")}) == "0102030405000000"
                                                                             "06000000"
                                                                             "0708090a");
}

TEST_CASE("initrd module: gzip whose trailer says it is smaller unpacked would be unpacked") {
  CHECK(libxenguest_would_unpack(gzip_like(100, 84)));
  CHECK_FALSE(libxenguest_would_unpack(gzip_like(100, 85)));
  CHECK_FALSE(libxenguest_would_unpack(gzip_like(100, 0xffffffff)));
  CHECK_FALSE(libxenguest_would_unpack(bytes("1f8b000000")));
  CHECK_FALSE(libxenguest_would_unpack(Bytes(100)));
}

TEST_CASE("initrd module: one that libxenguest would unpack gets four zeros before it") {
  const Bytes hostile = gzip_like(100, 0);
  CHECK(module_hex({hostile}) == "00000000" + to_hex(hostile));
}

TEST_CASE("initrd module: padding behind gzip does not bring libxenguest to unpack it") {
  const Bytes first = gzip_like(41, 0xfffffff0);
  const auto hex = module_hex({first, bytes("01")});
  CHECK(hex == "00000000" + to_hex(first) +
                   "000000"
                   "01000000");
}
