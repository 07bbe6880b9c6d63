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

TEST_CASE("policy sign: an image without --detached, or a wrong manifest, is named") {
  const Workplace place;
  place.write("image", std::string("MZ\0\1", 4));
  const Run image = place.sign("image", "vendor", "");
  CHECK(image.code == 1);
  CHECK(image.output.contains("sign an image with --detached"));
  place.write("wrong", "release = \"acme\"\nsequence = 1\n");
  CHECK(place.sign("wrong", "vendor", "").output.contains("/wrong:1:1: error: "));
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

TEST_CASE("policy sign, policy check: a weak key does not sign, and one in a policy is warned of") {
  const Workplace place;
  REQUIRE(
      std::system(("openssl req -x509 -newkey rsa:1024 -nodes -days 30 -subj /CN=weak -keyout " +
                   place.path("weak.key") + " -out " + place.path("weak.pem") + " 2>/dev/null")
                      .c_str()) == 0);
  const Run weak = place.sign("manifest", "weak");
  CHECK(weak.code == 1);
  CHECK(weak.output.contains("reading the private key " + place.path("weak.key") +
                             ": the key is worth 80 bits of security"));
  place.write("policy/20-weak.toml",
              "[[certificate]]\nname = \"weak\"\npem = '''\n" + place.text("weak.pem") +
                  "'''\n[[release]]\nname = \"b\"\nsigned_by = [\"weak\"]\nmin_sequence = 1\n");
  const Run check = place.check();
  CHECK(check.code == 0);
  CHECK(check.output.contains("warning: certificate \"weak\" has a key that is worth 80 bits of "
                              "security: nothing that it signed counts below 112"));
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

namespace {

/// A policy that knows both images by their signer.
void write_signed_policy(const Workplace& place) {
  place.write(
      "policy/10-who.toml",
      "[[certificate]]\nname = \"vendor\"\npem = '''\n" + place.text("vendor.pem") +
          "'''\n[[image]]\nname = \"kernels\"\nkind = \"kernel\"\nsigned_by = [\"vendor\"]\n"
          "[[image]]\nname = \"initrds\"\nkind = \"initrd\"\nsigned_by = [\"vendor\"]\n"
          "[[requester]]\nname = \"root\"\nuid = 0\n"
          "[[rule]]\nname = \"ours\"\neffect = \"allow\"\nrequesters = [\"root\"]\n"
          "verbs = [\"create\"]\n[rule.guest]\nkernels = [\"kernels\"]\n"
          "initrds = [\"initrds\"]\ncommand_lines = \"any\"\n");
}

/// Kernel and initrd with signatures by "vendor" in both forms, and by "other".
void write_images(const Workplace& place) {
  for (const std::string image : {"kernel", "initrd"}) {
    place.write(image, "the " + image);
    for (const std::string who : {"vendor", "other"})
      place.write(image + "." + who, place.sign(image, who, "--detached").output);
    REQUIRE(std::system(("openssl cms -sign -binary -outform DER -signer " +
                         place.path("vendor.pem") + " -inkey " + place.path("vendor.key") +
                         " -in " + place.path(image) + " -out " + place.path(image + ".der"))
                            .c_str()) == 0);
  }
}

} // namespace

TEST_CASE("policy explain: signatures that a requester brings decide, in PEM and in DER") {
  const Workplace place;
  write_signed_policy(place);
  write_images(place);
  CHECK_MESSAGE(place.check().code == 0, place.check().output);
  const std::string ask = "policy explain " + place.path("policy") + " --as root --name web " +
                          "--kernel " + place.path("kernel") + " --initrd " + place.path("initrd");
  const auto with = [&](const std::string& kernel, const std::string& initrd) {
    return run_ashlar(ask + " --kernel-signature " + place.path(kernel) + " --initrd-signature " +
                      (initrd == "none" ? initrd : place.path(initrd)));
  };
  const Run both = with("kernel.vendor", "initrd.der");
  CHECK_MESSAGE(both.code == 0, both.output);
  CHECK(both.output.contains("kernel signed by: vendor\n"));
  CHECK(both.output.contains("initrd signed by: vendor\n"));
  CHECK(with("kernel.der", "none").code == 3);
  CHECK(run_ashlar(ask).code == 3);
  const Run foreign = with("initrd.vendor", "initrd.vendor");
  CHECK(foreign.code == 1);
  CHECK(foreign.output.contains("it is for another image"));
  const Run stranger = with("kernel.vendor", "initrd.other");
  CHECK(stranger.code == 1);
  CHECK(stranger.output.contains("its signer \"CN=other\" has no certificate of the policy"));
  const Run two = run_ashlar(ask + " --initrd-signature none --initrd-signature none");
  CHECK(two.code == 2);
  CHECK(two.output.contains("there are 2 for 1 initrds"));
}

TEST_CASE(
    "policy explain: a kernel that is only a digest is decided, or the missing fact is named") {
  const Workplace place;
  write_signed_policy(place);
  write_images(place);
  const Run sum = run_ashlar("image inspect --json " + place.path("kernel") + " --signature " +
                             place.path("kernel.vendor"));
  const std::size_t at = sum.output.find("\"sha256\": \"");
  REQUIRE(at != std::string::npos);
  const std::string ask = "policy explain " + place.path("policy") +
                          " --as root --name web --kernel sha256:" + sum.output.substr(at + 11, 64);
  CHECK(run_ashlar(ask + " --kernel-signature " + place.path("kernel.vendor")).code == 0);
  const Run open = run_ashlar(ask);
  CHECK(open.code == 1);
  CHECK(open.output.contains("not decided: "));
  CHECK(open.output.contains("give its file with --kernel"));
  CHECK(run_ashlar(ask + " --json").output.contains("\"decided\": false"));
}

TEST_CASE(
    "policy explain: a revoked Authenticode digest reaches a kernel with other unsigned bytes") {
  const Workplace place;
  write_signed_policy(place);
  REQUIRE(std::system(("sbsign --key " + place.path("vendor.key") + " --cert " +
                       place.path("vendor.pem") + " --output " + place.path("signed") +
                       " /usr/lib/systemd/boot/efi/linuxx64.efi.stub 2>/dev/null")
                          .c_str()) == 0);
  std::string changed = place.text("signed");
  const auto headers = static_cast<unsigned char>(changed.at(0x3c)); // where they begin
  changed.at(headers + 24U + 64U) ^= 1;                              // the PE checksum
  place.write("changed", changed);
  const std::string ask = "policy explain " + place.path("policy") + " --as root --name web ";
  const auto explain = [&](const char* file) {
    return run_ashlar(ask + "--kernel " + place.path(file));
  };
  const Run allowed = explain("changed");
  REQUIRE_MESSAGE(allowed.code == 0, allowed.output);
  const std::string key = "kernel authenticode sha256: ";
  const std::size_t at = allowed.output.find(key);
  REQUIRE(at != std::string::npos);
  const std::string revoked = allowed.output.substr(at + key.size(), 64);
  CHECK(explain("signed").output.contains(key + revoked));
  place.write("policy/20-revoked.toml", "[[revoked]]\nauthenticode_sha256 = \"" + revoked + "\"\n");
  for (const char* file : {"signed", "changed"}) {
    const Run refused = explain(file);
    CHECK(refused.code == 3);
    CHECK(refused.output.contains("revokes the kernel with the Authenticode sha256 " + revoked));
  }
  // Whatever lets it in: what is inside a digest nobody can see.
  const std::string named = std::string(64, '1');
  place.write("policy/10-who.toml",
              "[[image]]\nname = \"k\"\nkind = \"kernel\"\nsha256 = \"" + named +
                  "\"\n[[requester]]\nname = \"root\"\nuid = 0\n[[rule]]\nname = \"it\"\n"
                  "effect = \"allow\"\nrequesters = [\"root\"]\nverbs = [\"create\"]\n"
                  "[rule.guest]\nkernels = [\"k\"]\ninitrds = []\ncommand_lines = \"any\"\n");
  const Run open = run_ashlar(ask + "--kernel sha256:" + named);
  CHECK(open.code == 1);
  CHECK(open.output.contains("not decided: "));
  CHECK(open.output.contains("by Authenticode digests"));
}

TEST_CASE("signature files: what is none, or too long, is refused before anything is sent") {
  const Workplace place;
  write_images(place);
  const auto create = [&](const std::string& signature) {
    return run_ashlar("--host unix:/nonexistent create --name web --kernel " +
                      place.path("kernel") + " --kernel-signature " + place.path(signature));
  };
  CHECK(create("kernel.der").code == 4); // all that is left is the builder
  CHECK(create("kernel.vendor").code == 4);
  place.write("text", "no signature");
  CHECK(create("text").output.contains("neither DER nor PEM"));
  CHECK(create("vendor.pem").output.contains("not of a CMS message"));
  place.write("long", "0" + std::string(6144, 'x'));
  const Run longer = create("long");
  CHECK(longer.code == 1);
  CHECK(longer.output.contains("it has 6145 bytes: it must be detached"));
  CHECK(create("missing").code == 1);
}

TEST_CASE("image inspect: a detached signature, whoever has made it") {
  const Workplace place;
  write_images(place);
  const auto inspect = [&](const std::string& signature) {
    return run_ashlar("image inspect " + place.path("initrd") + " --signature " +
                      place.path(signature));
  };
  const Run other = inspect("initrd.other");
  CHECK_MESSAGE(other.code == 0, other.output);
  CHECK(other.output.contains("kernel: no: "));
  CHECK(other.output.contains("detached signature: by \"CN=other\", issued by \"CN=other\""));
  const Run wrong = inspect("kernel.other");
  CHECK(wrong.code == 1);
  CHECK(wrong.output.contains("detached signature: not valid: it is for another image"));
}

TEST_CASE("image inspect: a unified kernel image is called that, and a builder takes none apart") {
  const Workplace place;
  write_images(place);
  REQUIRE(std::system(("objcopy --add-section .linux=" + place.path("kernel") +
                       " --change-section-vma .linux=0x2000000 --add-section .initrd=" +
                       place.path("initrd") + " --change-section-vma .initrd=0x3000000 " +
                       "/usr/lib/systemd/boot/efi/linuxx64.efi.stub " + place.path("unified"))
                          .c_str()) == 0);
  const Run run = run_ashlar("image inspect " + place.path("unified"));
  CHECK(run.code == 1);
  CHECK(run.output.contains("kernel: no: it is a PE image without a bzImage's header"));
  CHECK(run.output.contains("unified kernel image: yes; a builder takes no kernel"));
  CHECK(run.output.contains("signatures: none\n"));
}
