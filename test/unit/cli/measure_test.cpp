// SPDX-License-Identifier: LGPL-2.1-or-later
// The built program, without any builder: what it predicts, and how it fails.
#include <doctest/doctest.h>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/manifest_guest.hpp"
#include "ashlar/evidence/reference.hpp"
#include "ashlar/measure/digest.hpp"
#include "run_program.hpp"
#include "scripted_server.hpp"

using namespace ashlar;
using namespace ashlar::ipc;
using test::Run;
using test::run_ashlar;

namespace {

nlohmann::json json_of(const Run& run) {
  return nlohmann::json::parse(run.output, nullptr, false);
}

// A folder with a kernel of the bytes "kernel bytes" and the initrds "one" and "two".
class GuestFolder {
public:
  GuestFolder() {
    char name[] = "/tmp/ashlar-measure-XXXXXX";
    REQUIRE(mkdtemp(name));
    path_ = name;
    std::ofstream(path_ + "/kernel") << "kernel bytes";
    std::ofstream(path_ + "/one") << "one";
    std::ofstream(path_ + "/two") << "two";
  }
  GuestFolder(const GuestFolder&) = delete;
  GuestFolder& operator=(const GuestFolder&) = delete;
  ~GuestFolder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string guest() const {
    return "--name web-1 --memory 1024K --kernel " + path_ + "/kernel --cmdline console=hvc0";
  }
  [[nodiscard]] std::string initrds() const {
    return " --initrd " + path_ + "/one --initrd " + path_ + "/two";
  }
  [[nodiscard]] std::string content(const std::string& file) const {
    std::ostringstream text;
    text << std::ifstream(path_ + "/" + file, std::ios::binary).rdbuf();
    return text.str();
  }

private:
  std::string path_;
};

template <typename Field>
void set_digest(Field& field, std::span<const std::byte> bytes) {
  REQUIRE(set_bytes(field, bytes));
}

void reply_event(ScriptedServer& builder, std::uint32_t id, const nlohmann::json& event) {
  builder.reply(id, ashlar_v1_Response_event_tag, [&](Response& response) {
    ashlar_v1_RecordEvent& out = response.part.event;
    set_text(out.type, event["type"].get<std::string>());
    set_text(out.label, event["label"].get<std::string>());
    out.size = event["size"];
    const std::string content = event["content"];
    REQUIRE(set_bytes(out.content, as_bytes(content)));
    out.has_digests = true;
    set_digest(out.digests.sha1, *from_hex(event["sha1"].get<std::string>()));
    set_digest(out.digests.sha256, *from_hex(event["sha256"].get<std::string>()));
    set_digest(out.digests.sha384, *from_hex(event["sha384"].get<std::string>()));
  });
}

// A builder that has one record, with these events.
void reply_record(ScriptedServer& builder, std::uint32_t id, const nlohmann::json& events) {
  builder.reply(id, ashlar_v1_Response_record_tag, [&](Response& response) {
    response.part.record.events = static_cast<std::uint32_t>(events.size());
  });
  for (const nlohmann::json& event : events)
    reply_event(builder, id, event);
  builder.done(id);
}

} // namespace

TEST_CASE("measure: prints the events and PCRs of a guest given by flags, without a builder") {
  const GuestFolder folder;
  const Run run = run_ashlar("measure --json " + folder.guest() + folder.initrds());
  REQUIRE(run.code == 0);
  const nlohmann::json json = json_of(run);
  CHECK(json["profile"] == "uapi");
  CHECK(json["configuration"] == "ashlar-domain-configuration=2\nname=web-1\ntype=pvh\nvcpus=1\n"
                                 "memory_kib=1024\nmax_memory_kib=1024\non_poweroff=destroy\n"
                                 "on_reboot=restart\non_crash=destroy\nvtpm=none\n");
  REQUIRE(json["events"].size() == 5);
  CHECK(json["events"][1]["type"] == "kernel");
  CHECK(json["events"][1]["size"] == 12);
  CHECK(json["events"][4]["label"] == folder.path() + "/two");
  // From Python's hashlib, as in pcr_profile_test.
  CHECK(json["pcrs"]["sha256"] ==
        nlohmann::json{{"9", "b88f3f290fe4ac11da329c5515b418b937de9be1abffb4ff40de976ef83a28ee"},
                       {"11", "311ba123acb2d9fbbc9538983a0d11e4cbcbce81c52ca93add4d7eac9e9b5ae0"},
                       {"12", "f0276e6cebd709b43a59061c2b6359857f330a2158393dda10e1d805955342a0"}});
}

TEST_CASE("measure: pv-grub has one bank, and the table shows its PCRs alone") {
  const GuestFolder folder;
  const Run run = run_ashlar("measure --profile pv-grub " + folder.guest() + folder.initrds());
  REQUIRE(run.code == 0);
  CHECK(run.output.ends_with("profile pv-grub\n"
                             "PCR  BANK  VALUE\n"
                             "  4  sha1  5aa4ea5160e7c3f462ee6f1f30ecc186a7281b1b\n"
                             "  5  sha1  04d5ce6e823138dca55c75014cbdbe0555eb85d5\n"));
}

TEST_CASE("measure: a guest file and flags that say the same give the same") {
  const GuestFolder folder;
  std::ofstream(folder.path() + "/web.cfg")
      << "name = 'web-1'\ntype = 'pvh'\nkernel = '" << folder.path() << "/kernel'\nramdisk = '"
      << folder.path() << "/one'\ncmdline = 'console=hvc0'\nmemory = 1\n";
  const std::string file = folder.path() + "/web.cfg";
  const Run by_flags =
      run_ashlar("measure --json " + folder.guest() + " --initrd " + folder.path() + "/one");
  CHECK(run_ashlar("measure --json --config " + file).output == by_flags.output);
  CHECK(run_ashlar("measure --json " + file).output == by_flags.output);
  CHECK(run_ashlar("measure --json --vcpus 2 " + file).output != by_flags.output);
}

TEST_CASE("measure: disks and interfaces are lines of the configuration, by flags or by a file") {
  const GuestFolder folder;
  const Run run = run_ashlar(
      "measure --json " + folder.guest() +
      " --disk phy:/dev/vg0/web,xvda,w,backend=storage --disk vdev=xvdb,access=ro,target=/dev/b"
      " --nic mac=00:16:3E:01:02:03,backend=net --nic ''");
  REQUIRE_MESSAGE(run.code == 0, run.output);
  const std::string configuration = json_of(run)["configuration"];
  CHECK(configuration.ends_with("vtpm=none\n"
                                "disk=xvda,access=rw,backend=storage,target=/dev/vg0/web\n"
                                "disk=xvdb,access=ro,backend=Domain-0,target=/dev/b\n"
                                "nic=backend=net,bridge=xenbr0,mac=00:16:3e:01:02:03\n"
                                "nic=backend=Domain-0,bridge=xenbr0,mac=auto\n"));
  const std::string file = folder.path() + "/web.cfg";
  std::ofstream(file) << "name = 'web-1'\ntype = 'pvh'\nkernel = '" << folder.path()
                      << "/kernel'\ncmdline = 'console=hvc0'\nmemory = 1\n"
                      << "disk = [ 'phy:/dev/vg0/web,xvda,w,backend=storage', '/dev/b,,xvdb,r' ]\n"
                      << "vif = [ 'mac=00:16:3e:01:02:03,backend=net', 'type=vif' ]\n";
  CHECK(run_ashlar("measure --json " + file).output == run.output);
  const Run other = run_ashlar("measure --json " + file + " --nic bridge=br1");
  CHECK(json_of(other)["configuration"].get<std::string>().ends_with(
      "target=/dev/b\nnic=backend=Domain-0,bridge=br1,mac=auto\n"));
  const Run bad = run_ashlar("measure " + folder.guest() + " --disk phy:/dev/a,sda,w");
  CHECK(bad.code == 2);
  CHECK(bad.output.starts_with("ashlar: reading --disk \"phy:/dev/a,sda,w\": its vdev must be"));
}

TEST_CASE("measure: a reference has the devices, and a guest that is read from it has them again") {
  const GuestFolder folder;
  const std::string file = folder.path() + "/web.manifest";
  REQUIRE(run_ashlar("measure " + folder.guest() + " --vtpm 2.0 --manifest " + file +
                     " --disk phy:/dev/a,xvda,r --nic backend=net --nic bridge=br1")
              .code == 0);
  const auto guest = cli::read_manifest_guest(file);
  REQUIRE_MESSAGE(guest, guest.error().message());
  CHECK(guest->disks == std::vector<measure::Disk>{{"xvda", false, "Domain-0", "/dev/a"}});
  CHECK(guest->nics == std::vector<measure::Nic>{{"net", "xenbr0", ""}, {"Domain-0", "br1", ""}});
  auto reference = evidence::read_reference(folder.content("web.manifest"), file);
  REQUIRE(reference);
  const std::string good = reference->events[0].content;
  for (const std::string line : {"disk=xvda", "disk=hda,access=ro,backend=Domain-0,target=/dev/a",
                                 "disk=", "nic=backend=net,bridge=br0,mac=01:00:00:00:00:00",
                                 "nic=bridge=br0", "vif=bridge=br0"}) {
    reference->events[0].content = good + line + "\n";
    reference->events[0].size = reference->events[0].content.size();
    reference->events[0].digests = measure::digest(as_bytes(reference->events[0].content)).value();
    const auto forged = evidence::make_reference(reference->profile, {}, reference->events);
    REQUIRE(forged);
    std::ofstream(file) << evidence::encode(*forged);
    const auto refused = cli::read_manifest_guest(file);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message() ==
          "reading the guest of " + file + ": \"" + line + "\" is no line of a configuration");
  }
}

TEST_CASE("measure: builder and policy events are there when asked for, and change no PCR") {
  const GuestFolder folder;
  const nlohmann::json without = json_of(run_ashlar("measure --json " + folder.guest()));
  const Run run = run_ashlar("measure --json --builder 'ashlar-builder 0.1.0' " + folder.guest());
  REQUIRE(run.code == 0);
  CHECK(json_of(run)["events"][0]["content"] == "ashlar-builder 0.1.0");
  CHECK(json_of(run)["events"].size() == without["events"].size() + 1);
  CHECK(json_of(run)["pcrs"] == without["pcrs"]);
  const std::string policy = SOURCE_ROOT "/test/policy";
  std::filesystem::create_directory(folder.path() + "/policy.d");
  std::filesystem::copy_file(policy + "/good/web-guests.toml", folder.path() + "/policy.d/a.toml");
  const Run with_policy =
      run_ashlar("measure --json --policy " + folder.path() + "/policy.d " + folder.guest());
  REQUIRE(with_policy.code == 0);
  CHECK(json_of(with_policy)["events"][0]["type"] == "policy");
  CHECK(json_of(with_policy)["events"][0]["size"] == 64);
  CHECK(json_of(with_policy)["pcrs"] == without["pcrs"]);
}

TEST_CASE("measure: writes both logs, and says so when it cannot") {
  const GuestFolder folder;
  const std::string to = folder.path() + "/log";
  const Run run = run_ashlar("measure --json " + folder.guest() + " -o " + to + " --cel " +
                             folder.path() + "/cel");
  REQUIRE(run.code == 0);
  CHECK(folder.content("log").substr(32, 16) == std::string("Spec ID Event03\0", 16));
  const auto cel = nlohmann::json::parse(folder.content("cel"), nullptr, false);
  REQUIRE(cel.size() == 4);
  CHECK(cel[2]["recnum"] == 2);
  CHECK(cel[2]["pcr"] == 12);
  CHECK(cel[2]["content_type"] == "pcclient_std");
  CHECK(cel[2]["content"]["event_type"] == "EV_IPL");
  CHECK(cel[2]["content"]["event_data"] == to_hex(as_bytes("console=hvc0")));
  CHECK(cel[2]["digests"][1]["hashAlg"] == "sha256");
  CHECK(cel[2]["digests"][1]["digest"] ==
        to_hex(measure::digest(as_bytes("console=hvc0"))->sha256));
  CHECK(run_ashlar("measure " + folder.guest() + " -o /nonexistent/log").code == 1);
}

TEST_CASE("measure: a guest that no builder would take is wrong usage, a missing file a failure") {
  const GuestFolder folder;
  CHECK(run_ashlar("measure --kernel " + folder.path() + "/kernel").code == 2);
  CHECK(run_ashlar("measure " + folder.guest() + " --maxmem 1K").code == 2);
  CHECK(run_ashlar("measure " + folder.guest() + " --profile none").code == 2);
  CHECK(run_ashlar("measure " + folder.guest() + " --initrd /nonexistent/initrd").code == 1);
  CHECK(run_ashlar("measure " + folder.guest() + " --policy " + folder.path()).code == 1);
}

TEST_CASE("measure: takes no image by its digest, and writes no file called -") {
  const GuestFolder folder;
  const std::string named = "sha256:" + std::string(64, 'a');
  for (const std::string& flags : {" --initrd " + named, " --initrd " + named + "0"}) {
    const Run run = run_ashlar("measure " + folder.guest() + flags);
    CHECK(run.code == 2);
    CHECK(run.output.find("measure reads the file itself: give it, not its digest") !=
          std::string::npos);
  }
  CHECK(run_ashlar("measure --name web-1 --kernel " + named).code == 2);
  for (const char* option : {" -o -", " --cel -", " --manifest -"}) {
    const Run run = run_ashlar("measure " + folder.guest() + option);
    CHECK(run.code == 2);
    CHECK(run.output.find(": it must be a file: the standard output has") != std::string::npos);
  }
  CHECK_FALSE(std::filesystem::exists("-"));
}

TEST_CASE("measurement: a record's PCRs are those of the prediction") {
  const GuestFolder folder;
  const nlohmann::json predicted =
      json_of(run_ashlar("measure --json " + folder.guest() + folder.initrds()));
  const ScriptedServer server([&](ScriptedServer& builder, const Request& request) {
    reply_record(builder, request.id, predicted["events"]);
  });
  const Run run = run_ashlar("-H " + server.address() + " measurement web-1 --json --profile uapi");
  REQUIRE(run.code == 0);
  CHECK(json_of(run)["pcrs"] == predicted["pcrs"]);
  CHECK(json_of(run)["events"] == predicted["events"]);
  const Run plain = run_ashlar("-H " + server.address() + " measurement web-1 --json");
  CHECK_FALSE(json_of(plain).contains("pcrs"));
}

TEST_CASE("measurement: PCRs are not computed from a content that was not measured") {
  const GuestFolder folder;
  nlohmann::json events = json_of(run_ashlar("measure --json " + folder.guest()))["events"];
  events[2]["content"] = "console=hvc0 init=/bin/sh";
  const ScriptedServer server([&](ScriptedServer& builder, const Request& request) {
    reply_record(builder, request.id, events);
  });
  const Run run = run_ashlar("-H " + server.address() + " measurement web-1 --profile uapi");
  CHECK(run.code == 1);
  CHECK(run.output.find("not those of its content") != std::string::npos);
}

TEST_CASE("measurement: a log without a profile is wrong usage") {
  CHECK(run_ashlar("measurement web-1 -o /tmp/never-written").code == 2);
}

TEST_CASE("ashlar measure: writes no reference for a guest that has no evidence to give") {
  const GuestFolder folder;
  const std::string manifest = folder.path() + "/web.manifest";
  for (const char* flags : {" --vtpm 1.2", " --vtpm 1.2 --profile pv-grub", " --profile pv-grub"}) {
    const Run run = run_ashlar("measure " + folder.guest() + flags + " --manifest " + manifest);
    CHECK(run.code == 2);
    CHECK(run.output.find("TPM 1.2") != std::string::npos);
    CHECK(run.output.find("--vtpm 2.0") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(manifest));
    CHECK(run_ashlar("measure " + folder.guest() + flags).code == 0); // without one it predicts
  }
  for (const char* flags : {"", " --vtpm none"}) {
    const Run run = run_ashlar("measure " + folder.guest() + flags + " --manifest " + manifest);
    CHECK(run.code == 2);
    CHECK(run.output.find("a guest without a TPM gives no evidence") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(manifest));
  }
  CHECK(run_ashlar("measure " + folder.guest() + " --vtpm 2.0 --manifest " + manifest).code == 0);
  CHECK(std::filesystem::exists(manifest));
}
