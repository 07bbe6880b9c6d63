// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/parallel_digest.hpp"

using namespace ashlar;
using namespace ashlar::measure;

namespace {

std::vector<std::byte> some_bytes(std::size_t count) {
  std::vector<std::byte> bytes(count);
  std::uint32_t state = 1;
  for (std::byte& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::byte>(state >> 24);
  }
  return bytes;
}

/// By one thread, in order.
Digests expected(std::span<const std::byte> bytes) {
  auto stream = DigestStream::create();
  REQUIRE(stream.has_value());
  REQUIRE(stream->update(bytes).has_value());
  const auto digests = stream->finish();
  REQUIRE(digests.has_value());
  return *digests;
}

} // namespace

TEST_CASE("parallel digest: gives what one thread gives, at every size around its pieces") {
  const std::vector<std::byte> bytes = some_bytes(3u << 20);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{131071},
                                 std::size_t{131072}, std::size_t{131073}, bytes.size()}) {
    CAPTURE(size);
    const std::span<const std::byte> part = std::span(bytes).first(size);
    auto digest = ParallelDigest::begin(part);
    REQUIRE(digest.has_value());
    digest->available(size);
    const auto digests = digest->finish();
    REQUIRE(digests.has_value());
    CHECK(*digests == expected(part));
  }
}

TEST_CASE("parallel digest: bytes that come while it works are hashed in their order") {
  const std::vector<std::byte> source = some_bytes(2u << 20);
  std::vector<std::byte> filled(source.size());
  auto digest = ParallelDigest::begin(filled);
  REQUIRE(digest.has_value());
  std::size_t at = 0;
  for (std::size_t step = 1; at < source.size(); step = step * 3 + 1) {
    const std::size_t count = std::min(step, source.size() - at);
    std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(at), count,
                filled.begin() + static_cast<std::ptrdiff_t>(at));
    at += count;
    digest->available(at);
  }
  ParallelDigest moved = std::move(*digest);
  const auto digests = moved.finish();
  REQUIRE(digests.has_value());
  CHECK(*digests == expected(source));
}

TEST_CASE("parallel digest: only what is available counts") {
  const std::vector<std::byte> bytes = some_bytes(1u << 20);
  auto digest = ParallelDigest::begin(bytes);
  REQUIRE(digest.has_value());
  digest->available(700000);
  digest->available(1000); // never falls
  const auto digests = digest->finish();
  REQUIRE(digests.has_value());
  CHECK(*digests == expected(std::span(bytes).first(700000)));
  // More than there is cannot be made available.
  auto whole = ParallelDigest::begin(bytes);
  REQUIRE(whole.has_value());
  whole->available(bytes.size() + 1);
  CHECK(whole->finish() == expected(bytes));
}

TEST_CASE("parallel digest: one that is given up ends") {
  const std::vector<std::byte> bytes = some_bytes(8u << 20);
  auto digest = ParallelDigest::begin(bytes);
  REQUIRE(digest.has_value());
  digest->available(bytes.size());
}

TEST_CASE("digest: many bytes at once give what a stream gives") {
  const std::vector<std::byte> bytes = some_bytes((4u << 20) + 5);
  CHECK(digest(bytes) == expected(bytes));
}
