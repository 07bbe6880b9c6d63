// SPDX-License-Identifier: LGPL-2.1-or-later
// Releases do not go back, whether the builder was restarted in between or not.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "../vendor_certificate.hpp"
#include "ashlar/broker/policy_holder.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::broker;

namespace {

namespace fs = std::filesystem;

struct Place {
  fs::path path;
  Place() {
    std::string pattern = (fs::temp_directory_path() / "ashlar-releases-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
    fs::create_directory(path / "policy.d");
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { fs::remove_all(path); }

  /// Release "acme" with this manifest.
  void set(const char* manifest) const {
    std::ofstream(path / "policy.d" / "a.toml")
        << fmt::format("[[certificate]]\nname = \"vendor\"\npem = '''\n{}'''\n"
                       "[[release]]\nname = \"acme\"\nsigned_by = [\"vendor\"]\nmin_sequence = 1\n"
                       "[[manifest]]\npem = '''\n{}'''\n"
                       "[[requester]]\nname = \"root\"\nuid = 0\n"
                       "[[rule]]\nname = \"all\"\neffect = \"allow\"\nrequesters = [\"root\"]\n"
                       "verbs = [\"list\"]\n",
                       vendor_certificate, manifest);
  }
  /// As a builder that starts.
  [[nodiscard]] Status start() const {
    PolicyHolder holder((path / "policy.d").string(), memory());
    return holder.reload();
  }
  [[nodiscard]] std::string memory() const { return (path / "releases").string(); }
  [[nodiscard]] std::string text() const {
    std::ifstream in(memory());
    return {std::istreambuf_iterator<char>(in), {}};
  }
};

} // namespace

TEST_CASE(
    "releases: a builder that is restarted refuses an older manifest, and says the way back") {
  const Place place;
  place.set(vendor_manifest_7);
  REQUIRE(place.start());
  CHECK(place.text() == "acme 7\n");
  place.set(vendor_manifest_6);
  const Status back = place.start();
  REQUIRE(!back);
  CHECK(back.error().why.find("from sequence 7 to 6") != std::string::npos);
  CHECK(back.error().why.find("delete " + place.memory()) != std::string::npos);
  CHECK(place.text() == "acme 7\n");
  fs::remove(place.memory());
  CHECK(place.start());
  CHECK(place.text() == "acme 6\n");
  place.set(vendor_manifest_7);
  CHECK(place.start());
  CHECK(place.text() == "acme 7\n");
}

TEST_CASE("releases: a memory that could not be written leaves nothing") {
  const Place place;
  place.set(vendor_manifest_7);
  const std::string small = (place.path / "small").string();
  test::write_file(small, "1234");
  {
    const test::WriteLimit full(small, 0);
    CHECK_FALSE(place.start());
  }
  CHECK_FALSE(fs::exists(place.memory()));
  CHECK_FALSE(fs::exists(place.memory() + ".new"));
}

TEST_CASE("releases: a memory that the builder did not write loads no policy") {
  const Place place;
  place.set(vendor_manifest_7);
  for (const char* text : {"acme", "acme 7", "acme x\n", " 7\n", "acme 7\nacme 8\n", "acme 7 8\n",
                           "acme -1\n", "acme 99999999999999999999\n", "\n"}) {
    CAPTURE(text);
    std::ofstream(place.memory()) << text;
    const Status started = place.start();
    REQUIRE(!started);
    CHECK(started.error().code == ErrorCode::invalid);
  }
  std::ofstream(place.memory()) << "";
  CHECK(place.start());
}

TEST_CASE("releases: what cannot be kept is not in force") {
  const Place place;
  place.set(vendor_manifest_7);
  PolicyHolder holder((place.path / "policy.d").string(),
                      (place.path / "missing" / "releases").string());
  CHECK(!holder.reload());
  CHECK(holder.current() == nullptr);
  CHECK(!holder.load_error().empty());
}
