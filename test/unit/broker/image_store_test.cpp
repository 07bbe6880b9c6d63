// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <unistd.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/broker/image_store.hpp"
#include "ashlar/broker/upload.hpp"
#include "fakes.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

ImageIntake::Received received(const std::string& bytes) {
  auto intake = ImageIntake::begin("an image", bytes.size());
  REQUIRE(intake);
  REQUIRE(intake->take(as_bytes(bytes)));
  auto image = intake->finish();
  REQUIRE(image);
  return std::move(*image);
}

ImageHandle add(ImageStore& store, const std::string& requester, const std::string& bytes) {
  ImageIntake::Received image = received(bytes);
  return store.add(requester, image.digests, image.size, std::move(image.file));
}

} // namespace

TEST_CASE("image store: a digest is no right to bytes that somebody else brought") {
  ImageStore store(1000);
  const ImageHandle image = add(store, "red", "kernel");
  CHECK(store.find("red", image->digests.sha256) == image);
  CHECK(store.find("blue", image->digests.sha256) == nullptr);
  CHECK(add(store, "blue", "kernel") == image); // held once, by both
  CHECK(store.find("blue", image->digests.sha256) == image);
  CHECK(store.all().size() == 1);
}

TEST_CASE("image store: a received image is sealed and cannot be changed") {
  const ImageIntake::Received image = received("kernel");
  CHECK(require_sealed(image.file.value(), "it"));
  CHECK(pwrite(image.file.value(), "x", 1, 0) < 0);
  CHECK(ftruncate(image.file.value(), 1) != 0);
  CHECK(content(image.file.value()) == "kernel");
}

TEST_CASE("image store: the digests are those of the bytes, however they are cut") {
  auto intake = ImageIntake::begin("an image", 6);
  REQUIRE(intake);
  for (const char* piece : {"k", "ern", "", "el"})
    REQUIRE(intake->take(as_bytes(piece)));
  const auto image = intake->finish();
  REQUIRE(image);
  const auto expected = measure::digest(as_bytes("kernel"));
  REQUIRE(expected);
  CHECK(image->digests == *expected);
}

TEST_CASE("image store: the plain form of a kernel counts too") {
  ImageStore store(100);
  const ImageHandle image = add(store, "red", std::string(40, 'k'));
  CHECK(store.reserve("red", 60, std::nullopt));
  image->inspected = InspectedKernel{{}, received("plain").file};
  image->inspected->description.plain_bytes = 50;
  CHECK(store.reserve("red", 10, std::nullopt));
  CHECK(image->inspected.has_value());
  CHECK(store.reserve("red", 60,
                      std::nullopt)); // its room is given back, although the image is in use
  CHECK_FALSE(image->inspected.has_value());
  CHECK_FALSE(store.reserve("red", 61, std::nullopt));
}

TEST_CASE("image store: unpacked kernels go before images, and not those that others share") {
  ImageStore store(100);
  const auto unpack = [](Image& image) {
    image.inspected = InspectedKernel{{}, received("plain").file};
    image.inspected->description.plain_bytes = 40;
  };
  const measure::Sha256 old = add(store, "red", std::string(10, 'o'))->digests.sha256;
  const measure::Sha256 young = add(store, "red", std::string(20, 'k'))->digests.sha256;
  unpack(*store.find("red", young));
  CHECK_FALSE(store.overfull());
  CHECK(store.reserve("red", 60, std::nullopt));
  REQUIRE(store.find("red", old) != nullptr);
  REQUIRE(store.find("red", young) != nullptr);
  CHECK_FALSE(store.find("red", young)->inspected.has_value());
  // Blue has it as well: red's own image goes first.
  unpack(*add(store, "blue", std::string(20, 'k')));
  CHECK(store.reserve("red", 10, 75));
  CHECK(store.find("blue", young)->inspected.has_value());
  CHECK(store.find("red", old) == nullptr);
  // What a domain uses can be unpacked again as well.
  const ImageHandle used = store.find("blue", young);
  used->inspected->description.plain_bytes = 90;
  CHECK(store.overfull());
  CHECK(store.reserve("red", 20, std::nullopt));
  CHECK_FALSE(used->inspected.has_value());
  unpack(*used);
  used->inspected->description.plain_bytes = 90;
  CHECK(store.overfull());
}

TEST_CASE("image store: one requester's quota drops no image of another") {
  ImageStore store(1000);
  const measure::Sha256 others = add(store, "blue", std::string(40, 'b'))->digests.sha256;
  const measure::Sha256 own = add(store, "red", std::string(40, 'r'))->digests.sha256;
  CHECK(store.reserve("red", 60, 80));
  CHECK(store.find("blue", others) != nullptr); // although it was used longer ago
  CHECK(store.find("red", own) == nullptr);
}

TEST_CASE("image store: a shared image makes room in a quota as one's own does") {
  // Else the answer would tell that somebody else holds these bytes, and they could block others.
  ImageStore store(1000);
  const measure::Sha256 shared = add(store, "blue", std::string(40, 's'))->digests.sha256;
  add(store, "red", std::string(40, 's'));
  CHECK(store.reserve("red", 60, 60));
  CHECK(store.find("blue", shared) != nullptr);
  CHECK(store.find("red", shared) == nullptr);
}

TEST_CASE("image store: room that was reserved comes back") {
  ImageStore store(100);
  {
    const auto room = store.reserve("red", 80, std::nullopt);
    REQUIRE(room);
    CHECK_FALSE(store.reserve("blue", 30, std::nullopt));
  }
  CHECK(store.reserve("blue", 30, std::nullopt));
}

TEST_CASE("image store: what was dropped is told once") {
  ImageStore store(100);
  const measure::Sha256 first = add(store, "red", std::string(60, '1'))->digests.sha256;
  REQUIRE(store.reserve("red", 60, std::nullopt));
  CHECK(store.take_dropped() == std::vector<measure::Sha256>{first});
  CHECK(store.take_dropped().empty());
}
