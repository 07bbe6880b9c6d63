// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/format.hpp"
#include "ashlar/cli/problem.hpp"
#include "ashlar/cli/table.hpp"

using namespace ashlar;
using namespace ashlar::cli;

namespace {

ashlar_v1_Domain web() {
  ashlar_v1_Domain domain{};
  ipc::set_text(domain.name, "web");
  domain.domid = 12;
  domain.type = ashlar_v1_GuestType_GUEST_TYPE_PVH;
  domain.state = ashlar_v1_DomainState_DOMAIN_STATE_RUNNING;
  domain.vcpus = 2;
  domain.memory_kib = 512 * 1024;
  domain.cpu_time_ns = 1'260'000'000;
  domain.serial = 7;
  domain.initrds_count = 1;
  ipc::set_text(domain.initrds[0].label, "initrd.img");
  REQUIRE(ipc::set_bytes(domain.kernel.digests.sha1, *from_hex("00ff")));
  return domain;
}

} // namespace

TEST_CASE("table: columns are as wide as their widest cell, numbers to the right") {
  CHECK(table({{"NAME"}, {"N", true}}, {{"a", "1"}, {"long", "100"}}) ==
        "NAME    N\na       1\nlong  100\n");
  CHECK(table({{"NAME"}, {"LABEL"}}, {}) == "NAME  LABEL\n");
}

TEST_CASE("format: the table of domains has the columns of xl's") {
  CHECK(domains_table({web()}, false) == "NAME  DOMID  TYPE  VCPUS  MEM(MiB)  STATE    TIME(s)\n"
                                         "web      12  pvh       2       512  running      1.2\n");
}

TEST_CASE("format: a domain's JSON has the documented keys") {
  const auto json = domain_json(web());
  CHECK(json["name"] == "web");
  CHECK(json["memory_mib"] == 512);
  CHECK(json["state"] == "running");
  CHECK(json["kernel"]["sha1"] == "00ff");
  CHECK(json["initrds"][0]["path"] == "initrd.img");
  for (const char* key : {"type", "domid", "uuid", "vcpus", "max_memory_mib", "cmdline",
                          "requester", "serial", "rule", "policy_digest"})
    CHECK(json.contains(key));
  CHECK(domains_json({web()}).is_array());
}

TEST_CASE("format: a domain's disks and interfaces are shown, and are empty lists without any") {
  CHECK(domain_json(web())["disks"].dump() == "[]");
  CHECK(domain_json(web())["nics"].dump() == "[]");
  CHECK(domain_text(web()).find("disk ") == std::string::npos);
  CHECK(domain_text(web()).find("nic ") == std::string::npos);
  ashlar_v1_Domain domain = web();
  domain.disks_count = 2;
  ipc::set_text(domain.disks[0].vdev, "xvda");
  ipc::set_text(domain.disks[0].backend, "storage");
  ipc::set_text(domain.disks[0].target, "/dev/vg0/web");
  domain.disks[0].writable = true;
  ipc::set_text(domain.disks[1].vdev, "xvdb");
  ipc::set_text(domain.disks[1].backend, "Domain-0");
  ipc::set_text(domain.disks[1].target, "/dev/b");
  domain.nics_count = 1;
  ipc::set_text(domain.nics[0].backend, "net");
  ipc::set_text(domain.nics[0].bridge, "xenbr0");
  ipc::set_text(domain.nics[0].mac, "00:16:3e:01:02:03");
  CHECK(domain_text(domain).find("\ndisk xvda: read-write, /dev/vg0/web of storage\n"
                                 "disk xvdb: read-only, /dev/b of Domain-0\n"
                                 "nic 0: 00:16:3e:01:02:03 on xenbr0 of net\n") !=
        std::string::npos);
  CHECK(domain_json(domain)["disks"].dump() ==
        R"([{"vdev":"xvda","access":"rw","backend":"storage","target":"/dev/vg0/web"},)"
        R"({"vdev":"xvdb","access":"ro","backend":"Domain-0","target":"/dev/b"}])");
  CHECK(domain_json(domain)["nics"].dump() ==
        R"([{"backend":"net","bridge":"xenbr0","mac":"00:16:3e:01:02:03"}])");
  CHECK_FALSE(domains_json({domain})[0].contains("disks"));
}

TEST_CASE("format: a record shows each event's content and digests") {
  RecordParts record;
  record.head.serial = 9;
  ashlar_v1_RecordEvent event{};
  ipc::set_text(event.type, "command_line");
  REQUIRE(ipc::set_bytes(event.content, as_bytes("quiet\x1b[2J")));
  REQUIRE(ipc::set_bytes(event.digests.sha256, *from_hex("abcd")));
  record.events.push_back(event);
  const std::string text = record_text(record);
  CHECK(text.find("quiet\\x1b[2J") != std::string::npos);
  CHECK(text.find("abcd") != std::string::npos);
  const auto json = record_json(record);
  CHECK(json["serial"] == 9);
  CHECK(json["events"][0]["type"] == "command_line");
  CHECK(json["events"][0]["sha256"] == "abcd");
}

TEST_CASE("format: JSON of bytes that are not UTF-8 is still JSON") {
  CHECK(nlohmann::ordered_json::accept(json_text({{"a", "\xff"}})));
}

TEST_CASE("problem: what a terminal would obey is escaped, and other characters stay") {
  const auto shown = [](const std::string& name) {
    return text_of(Problem({ErrorCode::io, "opening " + name, "", 0}));
  };
  CHECK(shown("\x1b[2J\n\x7f") == "ashlar: opening \\x1b[2J\\x0a\\x7f");
  CHECK(shown("gr\u00f6\u00dfe \u2026 \U0001f427") ==
        "ashlar: opening gr\u00f6\u00dfe \u2026 \U0001f427");
  CHECK(shown("\xc2\x9b") == "ashlar: opening \\xc2\\x9b"); // CSI, in UTF-8 and alone
  CHECK(shown("\x9b!") == "ashlar: opening \\x9b!");
  CHECK(shown("cut \xe2\x80") == "ashlar: opening cut \\xe2\\x80");
  CHECK(shown("cut \xe2\x1b\x1b") == "ashlar: opening cut \\xe2\\x1b\\x1b");
}

TEST_CASE("problem: a refusal names its rule, and its kind in JSON") {
  ipc::Response final{};
  final.which_part = ashlar_v1_Response_refusal_tag;
  ipc::set_text(final.part.refusal.reason, "not from here");
  ipc::set_text(final.part.refusal.rule, "web only");
  const auto problem = problem_of(final);
  REQUIRE(problem);
  CHECK(problem->exit == ExitCode::refused);
  CHECK(text_of(*problem) == "ashlar: refused: not from here (rule \"web only\")");
  CHECK(json_of(*problem)["error"]["kind"] == "refused");
  final.which_part = ashlar_v1_Response_done_tag;
  CHECK_FALSE(problem_of(final));
}
