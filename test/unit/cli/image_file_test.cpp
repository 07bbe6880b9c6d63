// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <unistd.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/cli/image_file.hpp"

using namespace ashlar;
using namespace ashlar::cli;

namespace {

/// An image to open by its path: a memory file, which /proc names.
struct Source {
  UniqueFd fd;
  std::string path;

  explicit Source(std::string_view text) {
    auto file = create_memory_file("image");
    REQUIRE(file.has_value());
    fd = std::move(*file);
    path = "/proc/self/fd/" + std::to_string(fd.value());
    REQUIRE(write_all(fd.value(), as_bytes(text), "the image").has_value());
  }
};

} // namespace

TEST_CASE("image file: a sealed copy has the file's digests and does not change with it") {
  const Source source("kernel");
  const auto copy = sealed_copy(source.path, 6);
  REQUIRE(copy.has_value());
  CHECK(copy->size == 6);
  CHECK(require_sealed(copy->fd.value(), "the copy").has_value());
  const auto expected = measure::digest(as_bytes("kernel"));
  REQUIRE(expected.has_value());
  CHECK(copy->digests == *expected);
  REQUIRE(pwrite(source.fd.value(), "K", 1, 0) == 1);
  char first = 0;
  REQUIRE(pread(copy->fd.value(), &first, 1, 0) == 1);
  CHECK(first == 'k');
}

TEST_CASE("image file: a file above the limit is not copied, and the error says the limit") {
  const Source source("kernel");
  const auto copy = sealed_copy(source.path, 5);
  REQUIRE_FALSE(copy.has_value());
  CHECK(copy.error().code == ErrorCode::limit);
  CHECK(copy.error().limit == "5 bytes");
}
