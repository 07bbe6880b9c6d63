// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string>

#include <doctest/doctest.h>

#include "ashlar/inspector/limits.hpp"
#include "memory_sink.hpp"

using namespace ashlar;
using namespace ashlar::inspector;
using namespace ashlar::inspector::test;

namespace {

constexpr Compression all_compressions[] = {Compression::gzip, Compression::xz,
                                            Compression::lzma, Compression::bzip2,
                                            Compression::lz4,  Compression::zstd};

Bytes bzimage_with(std::size_t offset, std::uint64_t value, std::size_t width) {
  Bytes image = bzimage(payload_of(plain_kernel(), Compression::zstd));
  put(image, offset, value, width);
  return image;
}

Result<Description> inspect_it(const Bytes& image) {
  MemorySink sink;
  return inspect(image, sink);
}

void check_refused(const Bytes& image, ErrorCode code, const std::string& part) {
  const auto result = inspect_it(image);
  REQUIRE(!result);
  CAPTURE(result.error().message());
  CHECK(to_string(result.error().code) == std::string(to_string(code)));
  CHECK(result.error().message().find(part) != std::string::npos);
}

/// The payload of the test kernel with another announced size. For gzip that breaks the stream's
/// trailer.
Bytes announcing(Compression compression, std::uint64_t size) {
  Bytes payload = payload_of(plain_kernel(), compression);
  put(payload, payload.size() - 4, size, 4);
  return bzimage(payload);
}

} // namespace

TEST_CASE("bzimage: unpacks every compression to the same kernel") {
  for (const Compression compression : all_compressions) {
    CAPTURE(to_string(compression));
    MemorySink sink;
    const auto result = inspect(bzimage(payload_of(plain_kernel(), compression)), sink);
    REQUIRE(result);
    CHECK(result->format == ImageFormat::bzimage);
    CHECK(result->compression == compression);
    CHECK(result->plain_bytes == plain_kernel().size());
    CHECK(result->pv);
    CHECK(sink.plain == plain_kernel());
  }
}

TEST_CASE("bzimage: unpacks a kernel of more than one lz4 block and bzip2 block") {
  Bytes large = plain_kernel();
  large.resize(20u << 20, std::byte{0x5a});
  for (const Compression compression : {Compression::lz4, Compression::bzip2}) {
    MemorySink sink;
    sink.limit = large.size();
    REQUIRE(inspect(bzimage(payload_of(large, compression)), sink));
    CHECK(sink.plain == large);
  }
}

TEST_CASE("bzimage: a plain kernel asks for no memory") {
  MemorySink sink;
  REQUIRE(inspect(plain_kernel(), sink));
  CHECK(sink.plain.empty());
}

TEST_CASE("bzimage: hands on what the sink says when it has no memory") {
  MemorySink sink;
  sink.limit = 100;
  const auto result = inspect(bzimage_with(0, 0, 1), sink);
  REQUIRE(!result);
  CHECK(result.error().why == "more than the test allows");
}

TEST_CASE("bzimage: rejects what is neither an ELF nor a bzImage") {
  check_refused({}, ErrorCode::unsupported, "neither");
  check_refused(Bytes(4096), ErrorCode::unsupported, "neither");
  check_refused(payload_of(plain_kernel(), Compression::gzip), ErrorCode::unsupported, "neither");
}

TEST_CASE("bzimage: rejects a missing boot flag, which libxenguest does not look at") {
  check_refused(bzimage_with(0x1fe, 0, 2), ErrorCode::invalid, "boot flag");
}

TEST_CASE("bzimage: rejects an old boot protocol and a zImage") {
  check_refused(bzimage_with(0x206, 0x0207, 2), ErrorCode::unsupported, "2.07");
  check_refused(bzimage_with(0x211, 0, 1), ErrorCode::unsupported, "zImage");
}

TEST_CASE("bzimage: rejects a setup part or code that passes the end of the file") {
  check_refused(bzimage_with(0x1f1, 255, 1), ErrorCode::invalid, "setup_sects");
  check_refused(bzimage_with(0x1f4, 0xffffffff, 4), ErrorCode::invalid, "syssize");
}

TEST_CASE("bzimage: rejects a payload that is missing or passes the end of the code") {
  check_refused(bzimage_with(0x248, 0, 4), ErrorCode::unsupported, "no payload");
  check_refused(bzimage_with(0x24c, 0, 4), ErrorCode::unsupported, "no payload");
  check_refused(bzimage_with(0x248, 0xffffffff, 4), ErrorCode::invalid, "payload");
  check_refused(bzimage_with(0x24c, 0xffffffff, 4), ErrorCode::invalid, "payload");
}

TEST_CASE("bzimage: rejects a payload that is not compressed in a known way") {
  check_refused(bzimage(plain_kernel()), ErrorCode::unsupported, "7f454c46");
}

TEST_CASE("bzimage: rejects every truncation of the file") {
  for (const Compression compression : all_compressions) {
    const Bytes whole = bzimage(payload_of(plain_kernel(), compression));
    for (std::size_t size = 0; size < whole.size(); size += 37)
      CHECK(!inspect_it(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))));
  }
}

TEST_CASE("payload: rejects every truncation of the stream, with the size still behind it") {
  for (const Compression compression : all_compressions) {
    CAPTURE(to_string(compression));
    const Bytes whole = payload_of(plain_kernel(), compression);
    for (std::size_t size = 8; size + 4 < whole.size(); size += 23) {
      Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      cut.insert(cut.end(), whole.end() - 4, whole.end());
      CHECK(!inspect_it(bzimage(cut)));
    }
  }
}

TEST_CASE("payload: rejects an announced size above the limit before asking for memory") {
  for (const Compression compression : all_compressions) {
    check_refused(announcing(compression, max_plain_bytes + 1), ErrorCode::limit, "536870912");
    check_refused(announcing(compression, 0xffffffff), ErrorCode::limit, "536870912");
  }
}

TEST_CASE("payload: rejects an announced size of nothing") {
  for (const Compression compression : all_compressions)
    check_refused(announcing(compression, 0), ErrorCode::invalid, "0 bytes");
}

TEST_CASE("payload: rejects an announced size that is not the real one") {
  const std::uint64_t size = plain_kernel().size();
  for (const Compression compression : all_compressions) {
    CAPTURE(to_string(compression));
    for (const std::uint64_t wrong :
         {size - 1, size + 1, std::uint64_t{1}, std::uint64_t{1} << 20}) {
      const auto result = inspect_it(announcing(compression, wrong));
      REQUIRE(!result);
      CAPTURE(result.error().message());
      // gzip's and lz4's own checks may come first.
      const bool named =
          result.error().code == ErrorCode::integrity || result.error().code == ErrorCode::invalid;
      CHECK(named);
    }
  }
}

TEST_CASE("payload: a bomb writes no more than it announces") {
  const Bytes bomb(8u << 20);
  for (const Compression compression : all_compressions) {
    CAPTURE(to_string(compression));
    Bytes payload = payload_of(bomb, compression);
    put(payload, payload.size() - 4, 4096, 4);
    MemorySink sink;
    CHECK(!inspect(bzimage(payload), sink));
    CHECK(sink.plain.size() == 4096);
  }
}

TEST_CASE("payload: rejects bytes between the stream and the size, and a second stream") {
  for (const Compression compression : all_compressions) {
    CAPTURE(to_string(compression));
    const Bytes whole = payload_of(plain_kernel(), compression);
    Bytes with_garbage(whole.begin(), whole.end() - 4);
    if (compression == Compression::gzip)
      with_garbage = whole;
    Bytes twice = with_garbage;
    twice.insert(twice.end(), with_garbage.begin(), with_garbage.end());
    twice.insert(twice.end(), whole.end() - 4, whole.end());
    with_garbage.insert(with_garbage.end(), 4, std::byte{0});
    with_garbage.insert(with_garbage.end(), whole.end() - 4, whole.end());
    CHECK(!inspect_it(bzimage(with_garbage)));
    CHECK(!inspect_it(bzimage(twice)));
  }
}

TEST_CASE("payload: rejects a flipped bit in the checksums of gzip, xz and bzip2") {
  for (const Compression compression : {Compression::gzip, Compression::xz, Compression::bzip2}) {
    CAPTURE(to_string(compression));
    Bytes payload = payload_of(plain_kernel(), compression);
    const std::size_t checksum_at = compression == Compression::gzip ? payload.size() - 8
                                    : compression == Compression::xz ? 8
                                                                     : 10;
    payload[checksum_at] ^= std::byte{1};
    CHECK(!inspect_it(bzimage(payload)));
  }
}

TEST_CASE("payload: rejects an lzma stream whose dictionary is above the limit") {
  Bytes payload = payload_of(plain_kernel(), Compression::lzma);
  put(payload, 1, 0x20000000, 4);
  check_refused(bzimage(payload), ErrorCode::limit, "dictionary");
}

TEST_CASE("payload: what is unpacked is checked like a plain kernel") {
  check_refused(bzimage(payload_of(Bytes(4096), Compression::lz4)), ErrorCode::invalid,
                "ELF magic");
  check_refused(bzimage(payload_of(plain_kernel({}), Compression::gzip)), ErrorCode::unsupported,
                "Xen notes");
}
