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
)");
    for (const char* name : {"o", "k"}) {
      signers.names.emplace_back(name);
      signers.anchors.certificates.push_back(
          signature::Certificate::from_pem(text_file(place.path(std::string(name) + ".pem")), name)
              .value());
    }
  }

  Result<std::vector<std::string>> verify(const Bytes& bytes,
                                          const std::string& libexec = VERIFIER_DIRECTORY) {
    Image image;
    image.size = bytes.size();
    image.file = std::move(create_memory_file("image").value());
    REQUIRE(write_all(image.file.value(), bytes, "the image"));
    REQUIRE(seal(image.file.value(), "the image"));
    const auto workshop = make_workshop(loop, libexec, lock.value());
    std::optional<Result<std::vector<std::string>>> answer;
    const auto job = workshop->verify(
        image, signers, [&](Result<std::vector<std::string>> names) { answer = std::move(names); });
    REQUIRE(job);
    while (!answer)
      REQUIRE(loop.turn(std::chrono::milliseconds(1000)));
    return *answer;
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
