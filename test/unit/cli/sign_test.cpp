// SPDX-License-Identifier: LGPL-2.1-or-later
// `ashlar policy sign`, and what `ashlar policy check` and `explain` say of the result.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "run_program.hpp"

using ashlar::test::Run;
using ashlar::test::run_ashlar;

namespace {

namespace fs = std::filesystem;

const std::string digest(64, '2');

/// A key with its certificate, a manifest, and a policy directory that names the certificate.
class Workplace {
public:
  Workplace() {
    std::string pattern = (fs::temp_directory_path() / "ashlar-sign-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
    for (const std::string name : {"vendor", "other"})
      REQUIRE(std::system(("openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=" + name +
                           " -keyout " + path(name + ".key") + " -out " + path(name + ".pem") +
                           " 2>/dev/null")
                              .c_str()) == 0);
    fs::create_directory(path("policy"));
    write("manifest", manifest(7));
    write("policy/10-who.toml",
          "[[certificate]]\nname = \"vendor\"\npem = '''\n" + text("vendor.pem") +
              "'''\n[[release]]\nname = \"acme\"\nsigned_by = [\"vendor\"]\nmin_sequence = 5\n"
              "[[image]]\nname = \"acme\"\nkind = \"kernel\"\nrelease = \"acme\"\n"
              "[[requester]]\nname = \"root\"\nuid = 0\n"
              "[[rule]]\nname = \"acme guests\"\neffect = \"allow\"\nrequesters = [\"root\"]\n"
              "verbs = [\"create\"]\n[rule.guest]\nkernels = [\"acme\"]\ninitrds = []\n"
              "command_lines = \"any\"\n");
  }
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;
  ~Workplace() { fs::remove_all(path_); }

  static std::string manifest(int sequence) {
    return "release = \"acme\"\nsequence = " + std::to_string(sequence) +
           "\n[[image]]\nkind = \"kernel\"\nsha256 = \"" + digest + "\"\n";
  }
  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  [[nodiscard]] std::string text(const std::string& name) const {
    std::ifstream in(path(name));
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] Run sign(const std::string& file, const std::string& who,
                         const std::string& flags = {}) const {
    return run_ashlar("policy sign " + path(file) + " --key " + path(who + ".key") +
                      " --certificate " + path(who + ".pem") + " " + flags);
  }
  [[nodiscard]] Run check() const { return run_ashlar("policy check " + path("policy")); }

private:
  std::string path_;
};

} // namespace

TEST_CASE("policy sign: a signed manifest in the policy approves what it lists") {
  const Workplace place;
  const Run toml = place.sign("manifest", "vendor", "--toml");
  REQUIRE_MESSAGE(toml.code == 0, toml.output);
  CHECK(toml.output.starts_with("[[manifest]]\npem = '''\n-----BEGIN CMS-----\n"));
  place.write("policy/20-acme.toml", toml.output);
  const Run check = run_ashlar("policy check --strict " + place.path("policy"));
  CHECK_MESSAGE(check.code == 0, check.output);
  const std::string ask =
      "policy explain " + place.path("policy") + " --as root --name web --kernel sha256:";
  CHECK(run_ashlar(ask + digest).code == 0);
  CHECK(run_ashlar(ask + std::string(64, '3')).code == 3);
}

TEST_CASE("policy sign: a manifest by somebody else, or an old one, is an error of the policy") {
  const Workplace place;
  place.write("policy/20-acme.toml", place.sign("manifest", "other", "--toml").output);
  const Run stranger = place.check();
  CHECK(stranger.code == 1);
  CHECK(stranger.output.contains("20-acme.toml:1:1: error: verifying the manifest"));
  place.write("old", Workplace::manifest(4));
  place.write("policy/20-acme.toml", place.sign("old", "vendor", "--toml").output);
  const Run old = place.check();
  CHECK(old.code == 1);
  CHECK(old.output.contains("below the min_sequence 5"));
}

TEST_CASE("policy sign: what a builder would refuse is not signed") {
  const Workplace place;
  place.write("bad", "release = \"acme\"\n");
  const Run bad = place.sign("bad", "vendor");
  CHECK(bad.code == 1);
  CHECK(bad.output.contains("has no \"sequence\""));
  CHECK(place.sign("missing", "vendor").code == 1);
  const Run mixed =
      run_ashlar("policy sign " + place.path("manifest") + " --key " + place.path("other.key") +
                 " --certificate " + place.path("vendor.pem"));
  CHECK(mixed.code == 1);
  CHECK(mixed.output.contains("does not belong to the certificate"));
  CHECK(run_ashlar("policy sign " + place.path("manifest")).code == 2);
  CHECK(place.sign("manifest", "vendor", "--toml --detached").code == 2);
}

TEST_CASE("policy sign: a detached signature makes an image known by its digest") {
  const Workplace place;
  place.write("initrd", "an initrd");
  const Run pem = place.sign("initrd", "vendor", "--detached");
  REQUIRE(pem.code == 0);
  place.write("policy/10-who.toml",
              "[[certificate]]\nname = \"vendor\"\npem = '''\n" + place.text("vendor.pem") +
                  "'''\n[[image]]\nname = \"ours\"\nkind = \"initrd\"\nsigned_by = [\"vendor\"]\n"
                  "signatures = '''\n" +
                  pem.output +
                  "'''\n"
                  "[[requester]]\nname = \"root\"\nuid = 0\n"
                  "[[rule]]\nname = \"ours\"\neffect = \"allow\"\nrequesters = [\"root\"]\n"
                  "verbs = [\"upload\"]\n[rule.upload]\nimages = [\"ours\"]\n");
  CHECK_MESSAGE(place.check().code == 0, place.check().output);
  const std::string ask =
      "policy explain " + place.path("policy") + " --as root --verb upload --image ";
  CHECK(run_ashlar(ask + place.path("initrd")).code == 0);
  CHECK(run_ashlar(ask + place.path("manifest")).code == 3);
}
