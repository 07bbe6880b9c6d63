// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/digest.hpp"

using namespace ashlar;
using namespace ashlar::measure;

namespace {

// FIPS 180-4's example message "abc", and the empty message.
constexpr const char* abc_sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
constexpr const char* abc_sha256 =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* abc_sha384 =
    "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
    "8086072ba1e7cc2358baeca134c825a7";
constexpr const char* empty_sha256 =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

} // namespace

TEST_CASE("digest: the published digests of \"abc\" in every bank") {
  const auto digests = digest(as_bytes("abc"));
  REQUIRE(digests.has_value());
  CHECK(to_hex(digests->sha1) == abc_sha1);
  CHECK(to_hex(digests->sha256) == abc_sha256);
  CHECK(to_hex(digests->sha384) == abc_sha384);
}

TEST_CASE("digest: no bytes have the digest of the empty message") {
  const auto digests = digest({});
  REQUIRE(digests.has_value());
  CHECK(to_hex(digests->sha256) == empty_sha256);
}

TEST_CASE("digest: a stream in pieces gives the digests of the whole") {
  auto stream = DigestStream::create();
  REQUIRE(stream.has_value());
  CHECK(stream->update(as_bytes("a")));
  CHECK(stream->update({}));
  DigestStream moved = std::move(*stream);
  CHECK(moved.update(as_bytes("bc")));
  const auto digests = moved.finish();
  REQUIRE(digests.has_value());
  CHECK(*digests == digest(as_bytes("abc")));
}

TEST_CASE("digest: each bank's digest is found under its name") {
  const auto digests = digest(as_bytes("abc"));
  REQUIRE(digests.has_value());
  CHECK(to_hex(digests->of(Bank::sha1)) == abc_sha1);
  CHECK(to_hex(digests->of(Bank::sha256)) == abc_sha256);
  CHECK(to_hex(digests->of(Bank::sha384)) == abc_sha384);
  CHECK(std::string(to_string(Bank::sha1)) == "sha1");
  CHECK(std::string(to_string(Bank::sha256)) == "sha256");
  CHECK(std::string(to_string(Bank::sha384)) == "sha384");
}

TEST_CASE("digest: reads a SHA-256 in either case and refuses anything else") {
  std::string upper(abc_sha256);
  for (char& c : upper)
    c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const auto read = sha256_from_hex(upper, "a test");
  REQUIRE(read.has_value());
  CHECK(to_hex(*read) == abc_sha256);
  const std::string digits(abc_sha256);
  for (const std::string& bad :
       {std::string(), digits.substr(2), digits + "00", "g" + digits.substr(1)}) {
    const auto refused = sha256_from_hex(bad, "the digest of a test");
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == ErrorCode::invalid);
    CHECK(refused.error().message().starts_with("reading the digest of a test: "));
  }
}
