// SPDX-License-Identifier: LGPL-2.1-or-later
// `ashlar host` against a scripted builder that has the keys of a real TPM (test/unit/evidence).
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ashlar/base/bytes.hpp"
#include "run_program.hpp"
#include "scripted_server.hpp"

using namespace ashlar;
using namespace ashlar::ipc;
using ashlar::test::Run;
using ashlar::test::run_ashlar;

namespace {

const std::string golden = SOURCE_ROOT "/test/unit/evidence/golden/";

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// The files of a golden bundle.
class Unpacked {
public:
  Unpacked() {
    char name[] = "/tmp/ashlar-host-XXXXXX";
    REQUIRE(mkdtemp(name));
    path = name;
    REQUIRE(std::system(("tar -xf " + golden + "web.bundle -C " + path).c_str()) == 0);
  }
  Unpacked(const Unpacked&) = delete;
  Unpacked& operator=(const Unpacked&) = delete;
  ~Unpacked() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string file(const std::string& name) const {
    return text_of(path + "/" + name);
  }
  std::string path;
};

struct Builder {
  Unpacked bundle;
  bool knows_keys = true;
  bool certificate = true;
  std::string attestation_key = bundle.file("host.ak.pub");
  bool asked_for_keys = false;
  ScriptedServer server{
      [this](ScriptedServer& builder, const Request& request) { answer(builder, request); }};

  void answer(ScriptedServer& builder, const Request& request) {
    asked_for_keys = request.verb.host.keys;
    builder.reply(request.id, ashlar_v1_Response_host_state_tag, [](Response& response) {
      response.part.host_state.pcr = 13;
      response.part.host_state.log_events = 4;
    });
    if (knows_keys)
      builder.reply(request.id, ashlar_v1_Response_host_keys_tag,
                    [this](Response& response) { fill(response.part.host_keys); });
    builder.done(request.id);
  }
  void fill(ashlar_v1_HostKeys& keys) const {
    CHECK(set_bytes(keys.attestation_key, as_bytes(attestation_key)));
    CHECK(set_bytes(keys.endorsement_key, as_bytes(bundle.file("host.ek.pub"))));
    if (certificate)
      CHECK(set_bytes(keys.endorsement_certificate, as_bytes(bundle.file("host.ek.crt"))));
    for (const std::uint32_t pcr : {0U, 7U, 13U}) {
      ashlar_v1_HostPcr& out = keys.pcrs[keys.pcrs_count++];
      out.pcr = pcr;
      CHECK(set_bytes(out.sha256, std::vector<std::byte>(32, static_cast<std::byte>(pcr))));
    }
  }
  [[nodiscard]] Run host(const std::string& options) {
    const Run run = run_ashlar("-H " + server.address() + " host " + options);
    server.join();
    return run;
  }
};

} // namespace

TEST_CASE("ashlar: host shows the TPM's keys as tpm2-tools take them") {
  Builder builder;
  const Run run = builder.host("--json");
  CHECK(run.code == 0);
  CHECK(builder.asked_for_keys);
  const auto json = nlohmann::json::parse(run.output, nullptr, false);
  CHECK(json["log_events"] == 4);
  CHECK(json["ak"]["pem"] == text_of(golden + "reference/host-ak.pem"));
  // What `tpm2_loadexternal -u host.ak.pub -n NAME` writes for the golden key.
  CHECK(json["ak"]["name"] ==
        "000bb2510a052ee943c7d9cc2aaf46740f58adc52de95cfdcb093a6cb9d5073d8da7");
  CHECK(json["ak"]["tpm2b_public"].get<std::string>().starts_with("ARgAAQAL"));
  CHECK(json["ek"]["certificate"].get<std::string>().starts_with("-----BEGIN CERTIFICATE-----\n"));
  CHECK(json["pcrs"]["sha256"]["7"] == to_hex(std::vector<std::byte>(32, std::byte{7})));
}

TEST_CASE("ashlar: host --export writes what an owner enrols the machine by") {
  Builder builder;
  const std::string folder = builder.bundle.path + "/export";
  const Run run = builder.host("--export " + folder);
  CHECK(run.code == 0);
  CHECK(run.output.find("wrote " + folder + "/host.ek.crt\n") != std::string::npos);
  for (const char* name : {"host.ak.pub", "host.ek.pub", "host.ek.crt"})
    CHECK(text_of(folder + "/" + name) == builder.bundle.file(name));
  CHECK(text_of(folder + "/host-ak.pem") == text_of(golden + "reference/host-ak.pem"));
  CHECK(text_of(folder + "/host-ek.pem").starts_with("-----BEGIN PUBLIC KEY-----\n"));
  // PCR 0 is empty, and 13 is not the firmware's.
  const std::string pcrs = text_of(folder + "/host.pcrs");
  CHECK(pcrs.find("# sha256:0 is empty") != std::string::npos);
  CHECK(pcrs.find("\nsha256:7 0707") != std::string::npos);
  CHECK(pcrs.find("sha256:13") == std::string::npos);
}

TEST_CASE("ashlar: host --export overwrites nothing") {
  Builder builder;
  builder.certificate = false;
  const std::string folder = builder.bundle.path; // where host.ak.pub lies
  const Run run = builder.host("--export " + folder);
  CHECK(run.code == 1);
  CHECK(run.output.find("it is there already") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder + "/host-ak.pem"));
}

TEST_CASE("ashlar: host without a certificate says so") {
  Builder builder;
  builder.certificate = false;
  const Run run = builder.host("");
  CHECK(run.code == 0);
  CHECK(run.output.find("endorsement certificate: none\n") != std::string::npos);
}

TEST_CASE("ashlar: a builder that knows no keys shows the rest, and exports nothing") {
  Builder old;
  old.knows_keys = false;
  const Run shown = old.host("");
  CHECK(shown.code == 0);
  CHECK(shown.output.find("records since boot: 4\n") != std::string::npos);
  CHECK(shown.output.find("attestation key") == std::string::npos);
  Builder again;
  again.knows_keys = false;
  const std::string folder = again.bundle.path + "/export";
  const Run run = again.host("--export " + folder);
  CHECK(run.code == 4);
  CHECK(run.output.find("without the keys of the TPM") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder));
}

TEST_CASE("ashlar: host refuses keys that are none") {
  Builder builder;
  builder.attestation_key.resize(20);
  const Run run = builder.host("--json");
  CHECK(run.code == 1);
  CHECK(run.output.find("the attestation key") != std::string::npos);
}
