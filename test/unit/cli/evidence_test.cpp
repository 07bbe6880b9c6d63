// SPDX-License-Identifier: LGPL-2.1-or-later
// The built program on evidence: what it prints, and its exit status.
#include <doctest/doctest.h>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "run_program.hpp"

using ashlar::test::Run;
using ashlar::test::run_ashlar;

namespace {

const std::string golden = SOURCE_ROOT "/test/unit/evidence/golden";

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::string verify(const std::string& bundle) {
  return "verify " + golden + "/" + bundle + ".bundle --reference " + golden +
         "/reference --nonce " + text_of(golden + "/nonce").substr(0, 64);
}

nlohmann::json json_of(const Run& run) {
  return nlohmann::json::parse(run.output, nullptr, false);
}

bool has(const Run& run, const std::string& text) {
  return run.output.find(text) != std::string::npos;
}

// A folder with the golden guest's files and what `ashlar measure` says of it.
class Folder {
public:
  Folder() {
    char name[] = "/tmp/ashlar-explain-XXXXXX";
    REQUIRE(mkdtemp(name));
    path_ = name;
    write("kernel", "kernel bytes");
    write("one", "one");
    write("two", "two");
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(at(name), std::ios::binary) << text;
  }
  // `ashlar measure` of the guest, its JSON as NAME.json and its logs beside it.
  void measure(const std::string& name, const std::string& command_line,
               const std::string& initrd) const {
    const Run run = run_ashlar("measure --json --name web-1 --memory 1024K --vtpm 2.0 --kernel " +
                               at("kernel") + " --initrd " + at(initrd) + " --cmdline '" +
                               command_line + "' -o " + at(name + ".log") + " --cel " +
                               at(name + ".cel") + " --manifest " + at(name + ".manifest"));
    REQUIRE(run.code == 0);
    write(name + ".json", run.output);
  }
  [[nodiscard]] Run explain(const std::string& first, const std::string& second,
                            const std::string& more = {}) const {
    return run_ashlar("explain " + at(first) + " " + at(second) + " " + more);
  }

private:
  std::string path_;
};

} // namespace

TEST_CASE("verify: prints the chain link by link, and exits with 0 only if it holds") {
  const Run good = run_ashlar(verify("web"));
  CHECK(good.code == 0);
  CHECK(has(good, "ok         host quote: the host's TPM signed it"));
  CHECK(has(good, "unchecked  incarnation"));
  CHECK(has(good, "verified: web-1, uuid "));
  const Run bad = run_ashlar(verify("other-guest"));
  CHECK(bad.code == 1);
  CHECK(has(bad, "NOT ok     reference: "));
  CHECK(has(bad, "           expected sha256:"));
  CHECK(has(bad, "           found    sha256:"));
  CHECK(has(bad, "NOT verified"));
}

TEST_CASE("verify: the same as JSON") {
  const Run run = run_ashlar(verify("web") + " --json");
  CHECK(run.code == 0);
  const nlohmann::json json = json_of(run);
  CHECK(json["ok"] == true);
  CHECK(json["reference"] == "web.manifest");
  CHECK(json["guest"]["serial"] == 2);
  CHECK(json["links"].size() == 18);
  CHECK(json["links"][0]["name"] == "bundle");
  CHECK(json["links"][0]["state"] == "ok");
  const nlohmann::json refused = json_of(run_ashlar(verify("other-host") + " --json"));
  CHECK(refused["ok"] == false);
  CHECK(refused["links"][2]["state"] == "failed");
  CHECK(refused["links"][4]["state"] == "unchecked");
}

TEST_CASE("verify: only the guest that was asked about will do") {
  CHECK(run_ashlar(verify("web") + " --guest web").code == 0);
  const Run run = run_ashlar(verify("web") + " --guest mail");
  CHECK(run.code == 1);
  CHECK(has(run, "there is no mail.manifest"));
}

TEST_CASE("verify: what is wrong with the verifier's own files is wrong usage") {
  CHECK(run_ashlar("verify x.bundle").code == 2);
  CHECK(run_ashlar("verify " + golden + "/web.bundle --reference /nonexistent --nonce " +
                   std::string(64, '0'))
            .code == 2);
  CHECK(
      run_ashlar("verify " + golden + "/web.bundle --reference " + golden + "/reference --nonce 12")
          .code == 2);
  CHECK(run_ashlar("verify /nonexistent --reference " + golden + "/reference --nonce " +
                   std::string(64, '0'))
            .code == 2);
  CHECK(run_ashlar(verify("web") + " --record 12").code == 2);
}

TEST_CASE("verify: of what a reference directory lacks it says where that comes from") {
  const Folder folder;
  std::filesystem::create_directory(folder.at("references"));
  const std::string ask = "verify " + golden + "/web.bundle --nonce " + std::string(64, '0') +
                          " --reference " + folder.at("references");
  const Run keys = run_ashlar(ask);
  CHECK(keys.code == 2);
  CHECK(has(keys, "/host-ak.pem: "));
  CHECK(has(keys, "see docs/attestation.md, \"Enrolling a host\""));
  std::filesystem::copy_file(golden + "/reference/host-ak.pem",
                             folder.at("references/host-ak.pem"));
  const Run signers = run_ashlar(ask);
  CHECK(signers.code == 2);
  CHECK(has(signers, "/signers.pem: it has the certificates of those who may sign references"));
  CHECK(has(run_ashlar(ask + "/none"), "opening the reference directory"));
}

TEST_CASE("measure: writes the manifest that was signed for the golden guest") {
  const Folder folder;
  std::filesystem::rename(folder.at("one"), folder.at("initrd"));
  std::filesystem::rename(folder.at("kernel"), folder.at("vmlinuz"));
  const std::string flags = "measure --name web-1 --memory 1024K --vtpm 2.0 --kernel " +
                            folder.at("vmlinuz") + " --initrd " + folder.at("initrd") +
                            " --cmdline console=hvc0 --manifest " + folder.at("manifest");
  REQUIRE(run_ashlar(flags).code == 0);
  std::string manifest = text_of(folder.at("manifest"));
  // The labels are the files' names, there without their folder.
  for (std::size_t at; (at = manifest.find(folder.at(""))) != std::string::npos;)
    manifest.erase(at, folder.at("").size());
  CHECK(manifest == text_of(golden + "/reference/web.manifest"));
  REQUIRE(run_ashlar(flags + " --uuid 6a0e6f2e-8c5b-4f7e-9d41-0d2b6c1a3e57").code == 0);
  CHECK(text_of(folder.at("manifest")).find("\nuuid=6a0e6f2e-8c5b-4f7e-9d41-0d2b6c1a3e57\n") !=
        std::string::npos);
  CHECK(run_ashlar(flags + "/nonexistent").code == 1);
}

TEST_CASE("measure: writes the golden logs, in every profile") {
  const Folder folder;
  std::filesystem::rename(folder.at("one"), folder.at("initrd"));
  std::filesystem::rename(folder.at("kernel"), folder.at("vmlinuz"));
  // Labels are the files' names: from within their folder they are short.
  const std::string there = "cd " + folder.at("") + " && ";
  for (const std::string profile : {"uapi", "grub", "pv-grub"}) {
    CAPTURE(profile);
    REQUIRE(run_ashlar("measure --name web-1 --memory 1024K --vtpm 2.0 --kernel vmlinuz --initrd "
                       "initrd --cmdline console=hvc0 --profile " +
                           profile + " -o log --cel cel",
                       there)
                .code == 0);
    CHECK(text_of(folder.at("log")) == text_of(golden + "/" + profile + ".log"));
    CHECK(text_of(folder.at("cel")) == text_of(golden + "/" + profile + ".cel.json"));
    const std::string files = golden + "/" + profile;
    CHECK(run_ashlar("explain " + files + ".log " + files + ".cel.json").code == 0);
  }
  CHECK(run_ashlar("explain " + golden + "/uapi.log " + golden + "/grub.log").code == 1);
}

TEST_CASE("explain: every kind of the same guest is the same") {
  const Folder folder;
  folder.measure("a", "console=hvc0", "one");
  folder.write(
      "pcrs",
      nlohmann::json{{"pcrs", nlohmann::json::parse(text_of(folder.at("a.json")))["pcrs"]}}.dump());
  const std::vector<std::string> kinds = {"a.json", "a.manifest", "a.log", "a.cel", "pcrs"};
  for (const std::string& first : kinds)
    for (const std::string& second : {std::string("a.json"), std::string("a.log")})
      CHECK_MESSAGE(folder.explain(first, second).code == 0, first, " ", second);
  const Run bundle = run_ashlar("explain " + folder.at("a.json") + " " + golden + "/web.bundle");
  CHECK(bundle.code == 0);
  CHECK(has(bundle, "not verified"));
}

TEST_CASE("explain: names the first event that differs, both values and the cause") {
  const Folder folder;
  folder.measure("a", "console=hvc0", "one");
  folder.measure("b", "console=hvc0 quiet", "one");
  folder.measure("c", "console=hvc0", "two");
  const Run run = folder.explain("a.json", "b.log");
  CHECK(run.code == 1);
  CHECK(has(run, "event 3 differs: command_line\n"));
  CHECK(has(run, "\"console=hvc0 quiet\"\n"));
  CHECK(has(run, "cause: the command line of B has an extra `quiet`\n"));
  const nlohmann::json json = json_of(folder.explain("a.json", "b.cel", "--json"));
  CHECK(json["same"] == false);
  CHECK(json["first_difference"]["covers"] == "command_line");
  CHECK(json["B"]["kind"] == "canonical event log");
  CHECK(has(folder.explain("a.json", "c.json", "--known " + folder.at("c.manifest")),
            "it is the same file as the initrd " + folder.at("two") + " of guest "));
}

TEST_CASE("explain: what is no evidence is refused") {
  const Folder folder;
  folder.measure("a", "console=hvc0", "one");
  for (const char* text :
       {"", "hello", "{", "{}", "[1]", "{\"events\":[{}]}", "{\"pcrs\":{\"sha256\":7}}",
        "[{\"pcr\":99}]", "ASHR", "ashlar-reference=2\n"}) {
    folder.write("bad", text);
    const Run run = folder.explain("a.json", "bad");
    CHECK(run.code == 2); // as diff: 1 would say that they differ
    CHECK_MESSAGE(has(run, "ashlar: "), text);
  }
  for (const char* text : {"release = \"acme\"\n", "[[image]]\nkind = \"kernel\"\n"}) {
    folder.write("release.toml", text);
    CHECK(has(folder.explain("a.json", "release.toml"),
              "reading " + folder.at("release.toml") +
                  ": it is none of: prediction, record, reference, bundle, event log, PCR values"));
  }
  CHECK(folder.explain("a.json", "missing").code == 2);
  CHECK(folder.explain("a.json", "a.json", "--known /nonexistent").code == 2);
  CHECK(run_ashlar("explain one").code == 2);
}
