// SPDX-License-Identifier: LGPL-2.1-or-later
// The broker's workshop with the real ashlar-verifier in its sandbox, and with one that misbehaves.
#include <doctest/doctest.h>

#include <fcntl.h>

#include <filesystem>
#include <fstream>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/broker/workshop.hpp"
#include "pe_image.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::signature::test;

namespace {

struct Bench {
  Workplace place;
  EventLoop loop;
  UniqueFd lock{open("/dev/null", O_RDONLY | O_CLOEXEC)};
  policy::Signers signers;

  Bench() {
    write(place.path("image"), pe_image());
    run(place.path(), R"(
openssl req -x509 -newkey rsa:2048 -nodes -keyout k.key -out k.pem -subj '/CN=Test vendor'
openssl req -x509 -newkey rsa:2048 -nodes -keyout o.key -out o.pem -subj '/CN=Test other'
sbsign --key k.key --cert k.pem --output signed image
openssl req -x509 -newkey rsa:2048 -nodes -keyout s.key -out s.pem -subj '/CN=Test stranger'
sign="openssl cms -sign -binary -in image -outform DER"
$sign -signer k.pem -inkey k.key -out brought
$sign -signer s.pem -inkey s.key -out stranger
)");
    for (const char* name : {"o", "k"}) {
      signers.names.emplace_back(name);
      signers.anchors.certificates.push_back(
          signature::Certificate::from_pem(text_file(place.path(std::string(name) + ".pem")), name)
              .value());
    }
  }

  static Image held(const Bytes& bytes) {
    Image image;
    image.size = bytes.size();
    image.file = std::move(create_memory_file("image").value());
    REQUIRE(write_all(image.file.value(), bytes, "the image"));
    REQUIRE(seal(image.file.value(), "the image"));
    return image;
  }

  Result<std::vector<std::string>> verify(const Bytes& bytes,
                                          const std::string& libexec = VERIFIER_DIRECTORY) {
    const Image image = held(bytes);
    SignatureQuery query;
    query.look_inside = &image;
    const auto found = ask(query, libexec);
    if (!found)
      return std::unexpected(found.error());
    return found->inside;
  }

  Result<FoundSigners> ask(const SignatureQuery& query,
                           const std::string& libexec = VERIFIER_DIRECTORY) {
    const auto workshop = make_workshop(loop, libexec, lock.value());
    std::optional<Result<FoundSigners>> answer;
    const auto job = workshop->verify(
        query, signers, [&](Result<FoundSigners> found) { answer = std::move(found); });
    REQUIRE(job);
    while (!answer)
      REQUIRE(loop.turn(std::chrono::milliseconds(1000)));
    return *answer;
  }

  /// A signature over pe_image(), as an initrd's.
  [[nodiscard]] SignatureQuery::Brought brought(const Bytes& message) const {
    return {"initrd.img", {.sha256 = measure::digest(pe_image())->sha256, .message = message}};
  }

  /// In place of the verifier.
  std::string impostor(const std::string& script) {
    std::ofstream(place.path("ashlar-verifier")) << "#!/bin/sh\n" << script << "\n";
    std::filesystem::permissions(place.path("ashlar-verifier"), std::filesystem::perms::owner_all);
    return place.path();
  }
};

} // namespace

TEST_CASE("verifier: the broker learns which certificates have signed an image") {
  Bench bench;
  const auto names = bench.verify(file(bench.place.path("signed")));
  REQUIRE(names);
  CHECK(*names == std::vector<std::string>{"k"});
}

TEST_CASE("verifier: the Authenticode digest stays when bytes that it does not cover change") {
  Bench bench;
  const auto digest_of = [&](const Bytes& bytes) {
    const Image image = bench.held(bytes);
    SignatureQuery query;
    query.look_inside = &image;
    return bench.ask(query).value().authenticode;
  };
  Bytes other = pe_image();
  const auto digest = digest_of(other);
  REQUIRE(digest);
  CHECK(digest_of(file(bench.place.path("signed"))) == digest);
  other.at(checksum_at) ^= std::byte{1};
  CHECK(digest_of(other) == digest);
  other.back() ^= std::byte{1};
  CHECK(digest_of(other) != digest);
  CHECK_FALSE(digest_of(Bytes(4096)).has_value());
}

TEST_CASE("verifier: an image without a signature, or that is no PE image, is signed by nobody") {
  Bench bench;
  for (const Bytes& bytes : {pe_image(), Bytes(4096), Bytes(1)}) {
    const auto names = bench.verify(bytes);
    REQUIRE(names);
    CHECK(names->empty());
  }
}

TEST_CASE("verifier: one that is killed, fails or talks nonsense has verified nothing") {
  Bench bench;
  const Bytes bytes = file(bench.place.path("signed"));
  for (const char* script :
       {"kill -SEGV $$", "exit 1", "echo nonsense >&5", "exit 0", "head -c 60000 /dev/zero >&5"}) {
    CAPTURE(script);
    CHECK_FALSE(bench.verify(bytes, bench.impostor(script)).has_value());
  }
}

TEST_CASE("verifier: signatures that come with a request, without their images") {
  Bench bench;
  const Bytes message = file(bench.place.path("brought"));
  SignatureQuery query;
  query.brought = {bench.brought(message), bench.brought(message)};
  const auto found = bench.ask(query);
  REQUIRE_MESSAGE(found, found.error().message());
  CHECK(found->inside.empty());
  CHECK(found->brought == std::vector(2, std::vector<std::string>{"k"}));
}

TEST_CASE("verifier: a signature that is wrong, cut, for other bytes or a stranger's is refused") {
  Bench bench;
  const Bytes good = file(bench.place.path("brought"));
  const auto refused = [&](const SignatureQuery::Brought& bad) {
    SignatureQuery query;
    query.brought = {bench.brought(good), bad};
    const auto found = bench.ask(query);
    REQUIRE(!found);
    CHECK(found.error().doing == "verifying the signature that came with initrd.img");
    return found.error();
  };
  SignatureQuery::Brought other = bench.brought(good);
  other.signature.sha256.fill(std::byte{0});
  CHECK(refused(other).code == ErrorCode::integrity);
  Bytes changed = good;
  changed.back() ^= std::byte{1};
  CHECK(refused(bench.brought(changed)).code == ErrorCode::integrity);
  CHECK(refused(bench.brought(Bytes(good.begin(), good.end() - 1))).code == ErrorCode::invalid);
  CHECK(refused(bench.brought({})).code == ErrorCode::invalid);
  const Error stranger = refused(bench.brought(file(bench.place.path("stranger"))));
  CHECK(stranger.code == ErrorCode::denied);
  CHECK(stranger.why.find("CN=Test stranger") != std::string::npos);
}
