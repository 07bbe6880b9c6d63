// SPDX-License-Identifier: LGPL-2.1-or-later
// The built program's verbs that need no builder: policy files and images.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "run_program.hpp"

using ashlar::test::Run;
using ashlar::test::run_ashlar;

namespace {

namespace fs = std::filesystem;

const std::string examples = SOURCE_ROOT "/examples/policies";
const std::string corpus = SOURCE_ROOT "/test/corpus/inspector";
const std::string single_tenant = examples + "/single-tenant";
const std::string listed_kernel =
    "sha256:5d1f3a6e0c9b48d7a2e4f6071b3c5d8e9fa0b1c2d3e4f5061728394a5b6c7d8e";

/// A policy directory that is gone when the test ends.
class Folder {
public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "ashlar-offline-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(fs::path(path_) / name) << text;
  }
  [[nodiscard]] const std::string& path() const { return path_; }

private:
  std::string path_;
};

constexpr const char* small_policy =
    "[[requester]]\nname = \"root\"\nuid = 0\n"
    "[[rule]]\nname = \"look\"\neffect = \"allow\"\nrequesters = [\"root\"]\nverbs = [\"list\"]\n";

nlohmann::json parsed(const Run& run) {
  return nlohmann::json::parse(run.output, nullptr, false);
}

} // namespace

TEST_CASE("policy check, policy test: every example policy is clean and passes its cases") {
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(examples)) {
    CAPTURE(entry.path().string());
    const Run check = run_ashlar("policy check --strict " + entry.path().string());
    CHECK(check.code == 0);
    CHECK(check.output.contains(": 0 errors, 0 warnings"));
    const Run test = run_ashlar("policy test " + entry.path().string());
    CHECK(test.code == 0);
    CHECK(test.output.contains("ok    " + entry.path().string() + "/"));
    CHECK(test.output.contains(", 0 failed"));
    ++count;
  }
  CHECK(count >= 3);
}

TEST_CASE("policy check: an error is named with its place, and the exit code is 1") {
  const Folder folder;
  folder.write("a.toml", std::string(small_policy) + "[[image]]\nnmae = \"x\"\n");
  const Run run = run_ashlar("policy check " + folder.path() + "/");
  CHECK(run.code == 1);
  CHECK(run.output.contains(folder.path() + "/a.toml:10:1: error: unknown key \"nmae\""));
  CHECK(run.output.contains("a builder would not load this policy"));
  const auto json = parsed(run_ashlar("policy check --json " + folder.path()));
  CHECK(json["loads"] == false);
  CHECK(json["findings"][0]["line"] == 9);
  CHECK(json["errors"] == json["findings"].size());
}

TEST_CASE("policy check: a warning fails with --strict only") {
  const Folder folder;
  folder.write("a.toml", std::string(small_policy) + "[[requester]]\nname = \"idle\"\nuid = 1\n");
  const Run lax = run_ashlar("policy check " + folder.path());
  CHECK(lax.code == 0);
  CHECK(lax.output.contains(": warning: "));
  CHECK(lax.output.contains(": 0 errors, 1 warning\n"));
  CHECK(run_ashlar("policy check --strict " + folder.path()).code == 1);
}

TEST_CASE("policy check: a mistake in a cases file fails") {
  const Folder folder;
  folder.write("a.toml", small_policy);
  folder.write("a.cases.toml", "[[case]]\nas = \"toor\"\nverb = \"list\"\nexpect = \"deny\"\n");
  const Run run = run_ashlar("policy check " + folder.path());
  CHECK(run.code == 1);
  CHECK(run.output.contains("/a.cases.toml:2:6: error: the policy has no requester \"toor\""));
}

TEST_CASE("policy test: a case that fails says what was decided instead, with exit code 1") {
  const Folder folder;
  folder.write("a.toml", small_policy);
  folder.write("a.cases.toml", "[[case]]\nas = \"root\"\nverb = \"list\"\nexpect = \"deny\"\n"
                               "[[case]]\nas = \"root\"\nverb = \"info\"\nexpect = \"deny\"\n");
  const Run run = run_ashlar("policy test " + folder.path());
  CHECK(run.code == 1);
  CHECK(run.output.contains("FAIL  " + folder.path() +
                            "/a.cases.toml:1:1: list: deny: expected "
                            "denied (no rule matches), but it is allowed by rule \"look\""));
  CHECK(run.output.contains("2 cases: 1 ok, 1 failed\n"));
  const auto json = parsed(run_ashlar("policy test --json " + folder.path()));
  CHECK(json["failed"] == 1);
  CHECK(json["cases"][0]["ok"] == false);
}

TEST_CASE("policy test: no cases, or a policy that does not load, is no success") {
  const Folder folder;
  folder.write("a.toml", small_policy);
  const Run none = run_ashlar("policy test " + folder.path());
  CHECK(none.code == 1);
  CHECK(none.output.contains("there is no *.cases.toml"));
  folder.write("b.toml", "[[rule]\n");
  CHECK(run_ashlar("policy test " + folder.path()).code == 1);
  CHECK(run_ashlar("policy hash " + folder.path()).code == 1);
  CHECK(run_ashlar("policy test /nonexistent").code == 1);
}

TEST_CASE("policy hash: the digest is the documented one") {
  const Folder folder;
  folder.write("a.toml", small_policy);
  const Run before = run_ashlar("policy hash " + folder.path());
  CHECK(before.code == 0);
  CHECK(before.output == "5ff57fe89fb49905a4cafe0150c9037b3568d21b884d7f4c27df4a4745dad599\n");
  folder.write("a.cases.toml", "[[case]]\n");
  CHECK(run_ashlar("policy hash " + folder.path()).output == before.output);
  folder.write("a.toml", std::string(small_policy) + "#\n");
  CHECK(run_ashlar("policy hash " + folder.path()).output != before.output);
}

TEST_CASE("policy explain: an allowed guest, with the rule that decides and those not reached") {
  const Run run =
      run_ashlar("policy explain " + single_tenant + " --as toolstack --name web --kernel " +
                 listed_kernel + " --cmdline console=hvc0");
  CHECK(run.code == 0);
  CHECK(run.output.contains("create asked by requester \"toolstack\"\n"));
  CHECK(run.output.contains(single_tenant +
                            "/20-toolstack.toml:16:1: rule \"known guests\": matches\n"));
  CHECK(run.output.contains("1 rule not reached\nallowed; the requester is told: rule "));
}

TEST_CASE("policy explain: a refused guest, with each condition that failed and exit code 3") {
  const std::string command = "policy explain " + single_tenant + " --as toolstack --name web " +
                              "--kernel " + corpus + "/plain --vcpus 9 --memory 4G --json";
  const Run run = run_ashlar(command);
  CHECK(run.code == 3);
  const auto json = parsed(run);
  CHECK(json["allowed"] == false);
  REQUIRE(json["rules"].size() == 2);
  const std::string failed = json["rules"][0]["failed"];
  CHECK(failed.contains("is none of its kernels, and 9 vcpus are above its max_vcpus of 8"));
  CHECK(json["rules"][1]["failed"] == "it does not cover the verb create");
}

TEST_CASE("policy explain: a guest comes from a reference manifest, without its files") {
  const Folder folder;
  folder.write("vmlinuz", "kernel bytes");
  folder.write("initrd", "one");
  const std::string manifest = folder.path() + "/web.manifest";
  REQUIRE(run_ashlar("measure --name web --type pv --memory 300 --vcpus 2 --vtpm 2.0 --on-crash "
                     "restart --xsm-label system_u:system_r:domU_t --kernel " +
                     folder.path() + "/vmlinuz --initrd " + folder.path() +
                     "/initrd --cmdline 'quiet ro' --manifest " + manifest)
              .code == 0);
  // sha256sum of both
  const std::string kernel = "8daf3e4f39d310222b89e05b97f1aa56319811c728a147e8c6c86448f534194f";
  const std::string initrd = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
  fs::remove(folder.path() + "/vmlinuz");
  const auto policy = [&](const std::string& limit) {
    fs::create_directories(folder.path() + "/policy");
    folder.write("policy/a.toml",
                 "[[requester]]\nname = \"root\"\nuid = 0\n"
                 "[[image]]\nname = \"k\"\nkind = \"kernel\"\nsha256 = [\"" +
                     kernel + "\"]\n[[image]]\nname = \"i\"\nkind = \"initrd\"\nsha256 = [\"" +
                     initrd +
                     "\"]\n[[rule]]\nname = \"web\"\neffect = \"allow\"\nrequesters = "
                     "[\"root\"]\nverbs = [\"create\"]\n[rule.guest]\nkernels = [\"k\"]\n"
                     "initrds = [\"i\"]\ncommand_line_parameters = [\"quiet\", \"ro\"]\n"
                     "vtpm = \"allowed\"\nxsm_labels = [\"system_u:*\"]\n" +
                     limit);
    return run_ashlar("policy explain " + folder.path() + "/policy --as root --request " +
                      manifest);
  };
  const Run allowed = policy("max_vcpus = 2\nmax_memory_mib = 300\n");
  CHECK_MESSAGE(allowed.code == 0, allowed.output);
  CHECK(allowed.output.contains("kernel " + kernel));
  CHECK(policy("max_vcpus = 1\nmax_memory_mib = 300\n").code == 3);
  CHECK(policy("max_vcpus = 2\nmax_memory_mib = 299\n").code == 3);
  std::ifstream file(manifest);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  text.replace(text.find("vcpus=2"), 7, "vcpus=1");
  folder.write("web.manifest", text);
  const Run forged = policy("max_vcpus = 2\nmax_memory_mib = 300\n");
  CHECK(forged.code == 2);
  CHECK(forged.output.contains("web.manifest: checking the configuration event"));
}

TEST_CASE("policy explain: a guest comes from an xl.cfg file, with flags over it") {
  const Folder folder;
  folder.write("web.cfg", "name = \"web\"\ntype = \"pvh\"\nkernel = \"/nonexistent\"\n"
                          "cmdline = \"quiet\"\nmemory = 512\n");
  const std::string ask =
      "policy explain " + single_tenant + " --as boot --request " + folder.path() + "/web.cfg";
  CHECK(run_ashlar(ask).code == 1);
  CHECK(run_ashlar(ask + " --kernel " + listed_kernel).code == 0);
  CHECK(run_ashlar(ask + " --kernel " + listed_kernel + " --memory 9G").code == 3);
}

TEST_CASE("policy explain: disks and interfaces come from flags, an xl.cfg file or a manifest") {
  const Folder folder;
  folder.write("vmlinuz", "kernel bytes");
  fs::create_directories(folder.path() + "/policy");
  folder.write("policy/a.toml",
               "[[requester]]\nname = \"root\"\nuid = 0\n"
               "[[rule]]\nname = \"web\"\neffect = \"allow\"\nrequesters = [\"root\"]\n"
               "verbs = [\"create\"]\n[rule.guest]\nkernels = \"any\"\ninitrds = \"any\"\n"
               "command_lines = \"any\"\n"
               "disks = [{ backends = [\"storage\"], targets = [\"/dev/vg0/web-*\"], "
               "access = \"read-write\" }]\n"
               "nics = [{ backends = \"any\", bridges = [\"br0\"] }]\nvtpm = \"allowed\"\n");
  const std::string ask = "policy explain " + folder.path() + "/policy --as root ";
  const std::string guest = "--name web --kernel " + folder.path() + "/vmlinuz ";
  const std::string good = "--disk phy:/dev/vg0/web-1,xvda,w,backend=storage --nic bridge=br0 ";
  const std::string bad = "--disk phy:/dev/vg0/db,xvda,w,backend=storage ";
  const Run allowed = run_ashlar(ask + guest + good);
  CHECK_MESSAGE(allowed.code == 0, allowed.output);
  CHECK(run_ashlar(ask + guest + bad).code == 3);
  CHECK(run_ashlar(ask + guest + "--nic bridge=br1").code == 3);
  CHECK(run_ashlar(ask + guest + "--nic script=mine").code == 2);
  const std::string file = folder.path() + "/web.cfg";
  const std::string start = "name = 'web'\nkernel = '" + folder.path() + "/vmlinuz'\n";
  folder.write("web.cfg", start + "disk = [ 'vdev=xvda,backend=storage,target=/dev/vg0/web-1' ]\n"
                                  "vif = [ 'bridge=br0' ]\n");
  CHECK(run_ashlar(ask + "--request " + file).code == 0);
  CHECK(run_ashlar(ask + "--request " + file + " " + bad).code == 3);
  folder.write("web.cfg", start + "disk = [ 'vdev=xvda,backend=storage,target=/dev/vg0/db' ]\n");
  CHECK(run_ashlar(ask + "--request " + file).code == 3);
  CHECK(run_ashlar(ask + "--request " + file + " " + good).code == 0);
  const std::string manifest = folder.path() + "/web.manifest";
  const std::string measure = "measure " + guest + "--vtpm 2.0 --manifest " + manifest + " ";
  REQUIRE(run_ashlar(measure + good).code == 0);
  CHECK(run_ashlar(ask + "--request " + manifest).code == 0);
  REQUIRE(run_ashlar(measure + bad).code == 0);
  CHECK(run_ashlar(ask + "--request " + manifest).code == 3);
}

TEST_CASE("policy explain: other verbs, uploads by digest, and domains of others") {
  const std::string two = "policy explain " + examples + "/two-tenants --as ";
  CHECK(run_ashlar(two + "red --verb destroy").code == 0);
  const Run other = run_ashlar(two + "red --verb destroy --owner blue");
  CHECK(other.code == 3);
  CHECK(other.output.contains("the requester is told: there is no such domain\n"));
  CHECK(run_ashlar(two + "operator --verb destroy --owner blue").code == 0);
  const std::string upload = "blue --verb upload --image sha256:"
                             "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
  CHECK(run_ashlar(two + upload + " --size 33554432").code == 0);
  CHECK(run_ashlar(two + upload + " --size 33554433").code == 3);
  CHECK(run_ashlar(two + upload).code == 2);
}

TEST_CASE("policy explain: a question that makes no sense is wrong usage") {
  const std::string ask = "policy explain " + single_tenant + " ";
  const Run stranger = run_ashlar(ask + "--as stranger --verb list");
  CHECK(stranger.code == 2);
  CHECK(stranger.output.contains("the policy has: toolstack, boot"));
  CHECK(run_ashlar(ask + "--as boot --verb frobnicate").code == 2);
  CHECK(run_ashlar(ask + "--as boot --name x").code == 2);
  CHECK(run_ashlar(ask + "--as boot --name x --kernel sha256:12").code == 2);
  CHECK(run_ashlar(ask + "--verb list").code == 2);
  for (const char* flags : {"--verb destroy --kernel foo", "--verb list --request foo",
                            "--verb upload --image foo --memory 1G"}) {
    const Run guest = run_ashlar(ask + "--as boot " + flags);
    CHECK(guest.code == 2);
    CHECK(guest.output.contains("only create is about a guest"));
  }
  const Run image = run_ashlar(ask + "--as boot --verb list --image foo");
  CHECK(image.code == 2);
  CHECK(image.output.contains("only upload is about an image"));
}

TEST_CASE("image inspect: what the sandboxed inspector says, with the file's digests") {
  const std::string file = corpus + "/bzimage-zstd";
  const Run text = run_ashlar("image inspect " + file);
  CAPTURE(text.output);
  CHECK(text.code == 0);
  CHECK(text.output.contains("format: bzimage\ncompression: zstd\n"));
  CHECK(text.output.contains("\nsha384: "));
  const Run plain = run_ashlar("image inspect --json " + corpus + "/plain 2>/dev/null");
  const auto json = parsed(plain);
  CHECK(json["format"] == "elf");
  CHECK(json["size"] == fs::file_size(corpus + "/plain"));
  CHECK(json["plain_size"] == json["size"]);
  CHECK(json["sha256"].get<std::string>().size() == 64);
}

TEST_CASE("image inspect: a file that is no kernel is refused with what is wrong about it") {
  const Folder folder;
  folder.write("text", "not a kernel");
  const Run run = run_ashlar("image inspect --json " + folder.path() + "/text 2>/dev/null");
  CHECK(run.code == 1);
  const auto json = parsed(run);
  CHECK(json["error"]["kind"] == "failed");
  CHECK_FALSE(json["error"]["item"].get<std::string>().empty());
  CHECK_FALSE(json["error"]["check"].get<std::string>().empty());
  CHECK(run_ashlar("image inspect /nonexistent/file").code == 1);
  CHECK(run_ashlar("image inspect " + folder.path()).code == 1);
}

TEST_CASE("image inspect: of a file that is cut off it says so, and which it is") {
  const Folder folder;
  fs::copy_file(corpus + "/bzimage-gzip", folder.path() + "/cut");
  fs::resize_file(folder.path() + "/cut", 1000);
  const Run run = run_ashlar("image inspect " + folder.path() + "/cut");
  CHECK(run.code == 1);
  CHECK(run.output.starts_with("ashlar: " + folder.path() + "/cut: locating "));
  CHECK(run.output.contains("do not lie within the file (1000 bytes): is it cut off?"));
}

TEST_CASE("image inspect: an inspector that is missing, or ends badly, is no success") {
  const Folder folder;
  const std::string command = "image inspect " + corpus + "/plain";
  const Run missing = run_ashlar(command, "ASHLAR_LIBEXEC=" + folder.path() + " ");
  CHECK(missing.code == 1);
  CHECK(missing.output.contains("set ASHLAR_LIBEXEC to its directory"));
  folder.write("ashlar-inspector", "#!/bin/sh\nkill -KILL $$\n");
  fs::permissions(folder.path() + "/ashlar-inspector", fs::perms::owner_all);
  const Run killed = run_ashlar(command, "ASHLAR_LIBEXEC=" + folder.path() + " ");
  CHECK(killed.code == 1);
  CHECK(killed.output.contains("the inspector was killed by signal 9"));
  folder.write("ashlar-inspector", "#!/bin/sh\necho nonsense >&5\n");
  CHECK(run_ashlar(command, "ASHLAR_LIBEXEC=" + folder.path() + " ").code == 1);
}
