// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <cstdlib>

#include "ashlar/cli/arguments.hpp"

using namespace ashlar::cli;

namespace {

std::variant<Arguments, ExitRequest> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "ashlar");
  return parse_arguments(static_cast<int>(words.size()), words.data());
}

} // namespace

TEST_CASE("arguments: create takes its flags, initrds in order") {
  const auto parsed =
      parse({"create", "web.cfg", "--name", "web", "--kernel", "k", "--initrd", "a", "--initrd",
             "b", "--memory", "1G", "--type", "pv", "--paused", "--json"});
  const auto* arguments = std::get_if<Arguments>(&parsed);
  REQUIRE(arguments);
  CHECK(arguments->verb == Verb::create);
  CHECK(arguments->guest_file == "web.cfg");
  CHECK(arguments->flags.initrds == std::vector<std::string>{"a", "b"});
  CHECK(arguments->flags.memory_kib == 1024U * 1024);
  CHECK(arguments->flags.type == "pv");
  CHECK(arguments->paused);
  CHECK(arguments->json);
}

TEST_CASE("arguments: disks and interfaces are given as in an xl.cfg file, each by a flag") {
  for (const std::vector<const char*>& verb : std::vector<std::vector<const char*>>{
           {"create"}, {"measure"}, {"policy", "explain", "policy.d", "--as", "red"}}) {
    std::vector<const char*> words = verb;
    words.insert(words.end(),
                 {"--disk", "phy:/dev/vg0/web,xvda,w,backend=storage", "--nic", "", "--disk",
                  "vdev=xvdb, access=ro, target=/dev/b", "--nic=bridge=br1,backend=net"});
    const auto parsed = parse(words);
    const auto* arguments = std::get_if<Arguments>(&parsed);
    REQUIRE(arguments);
    CHECK(arguments->flags.disks ==
          std::vector<ashlar::measure::Disk>{{"xvda", true, "storage", "/dev/vg0/web"},
                                             {"xvdb", false, "Domain-0", "/dev/b"}});
    CHECK(arguments->flags.nics ==
          std::vector<ashlar::measure::Nic>{{"Domain-0", "xenbr0", ""}, {"net", "br1", ""}});
  }
  CHECK(std::get<ExitRequest>(parse({"create", "--disk", "phy:/d/a,hda,w"})).text ==
        "ashlar: reading --disk \"phy:/d/a,hda,w\": its vdev must be xvda to xvdz, or such a name "
        "and a partition's number from 1 to 15; see ashlar create --help\n");
  CHECK(std::get<ExitRequest>(parse({"create", "--nic", "model=e1000"})).text ==
        "ashlar: reading --nic \"model=e1000\": model: an emulated card would need QEMU: remove "
        "it, the guest's driver is Xen's own; see ashlar create --help\n");
}

TEST_CASE("arguments: the builder's address comes from the flag, else from the environment") {
  setenv("ASHLAR_HOST", "vchan:3", 1);
  CHECK(std::get<Arguments>(parse({"list"})).host == "vchan:3");
  CHECK(std::get<Arguments>(parse({"list", "-H", "unix:/x"})).host == "unix:/x");
  unsetenv("ASHLAR_HOST");
  CHECK(std::get<Arguments>(parse({"list"})).host.empty());
}

TEST_CASE("arguments: each verb about a domain is recognised") {
  CHECK(std::get<Arguments>(parse({"measurement", "web"})).verb == Verb::measurement);
  CHECK(std::get<Arguments>(parse({"domid", "web"})).verb == Verb::domid);
  CHECK(std::get<Arguments>(parse({"policy", "reload"})).verb == Verb::policy_reload);
  CHECK(std::get<Arguments>(parse({"console", "web", "--tail", "100"})).tail_bytes == 100U);
}

TEST_CASE("arguments: wrong usage asks for exit code 2, as JSON where asked") {
  for (const auto& words : std::vector<std::vector<const char*>>{{},
                                                                 {"frobnicate"},
                                                                 {"info"},
                                                                 {"policy"},
                                                                 {"create", "--type", "hvm"},
                                                                 {"create", "--memory", "lots"},
                                                                 {"list", "--timeout", "0"}}) {
    const auto parsed = parse(words);
    REQUIRE(std::holds_alternative<ExitRequest>(parsed));
    CHECK(std::get<ExitRequest>(parsed).code == 2);
    CHECK(std::get<ExitRequest>(parsed).text.starts_with("ashlar: "));
  }
  const auto json = std::get<ExitRequest>(parse({"info", "--json"}));
  CHECK(json.text.find("\"kind\":\"usage\"") != std::string::npos);
}

TEST_CASE("arguments: what is wrong is said in words of ours, with the help that has more") {
  struct Fault {
    std::vector<const char*> words;
    const char* text;
  };
  for (
      const Fault& fault : std::vector<Fault>{
          {{"bogus"}, "\"bogus\" is no verb of ashlar; see ashlar --help"},
          {{"crate", "x"},
           "\"crate\" is no verb of ashlar (did you mean create?); see ashlar --help"},
          {{"policy", "bogus"}, "\"bogus\" is no verb of ashlar policy; see ashlar policy --help"},
          {{"policy"},
           "a verb is missing after ashlar policy: show, reload, check, explain, test, hash, sign; "
           "see ashlar policy --help"},
          {{"list", "--jsn"},
           "ashlar list has no option --jsn (did you mean --json?); see ashlar list --help"},
          {{"list", "--josn"},
           "ashlar list has no option --josn (did you mean --host or --json?); see ashlar list "
           "--help"},
          {{"verify", "--referense", "d", "--nonce", "0"},
           "ashlar verify has no option --referense (did you mean --reference?); see ashlar verify "
           "--help"},
          {{"info", "a", "b"},
           "\"b\" is one argument too many for ashlar info; see ashlar info --help"},
          {{"info"}, "domain is required; see ashlar info --help"},
          {{"create", "--vcpus", "abc"},
           "--vcpus: it must be a number from 1 to 4294967295, not \"abc\"; see ashlar create "
           "--help"},
          {{"create", "--vcpus", "4294967296"},
           "--vcpus: it must be a number from 1 to 4294967295, not \"4294967296\"; see ashlar "
           "create "
           "--help"},
          {{"create", "--kernel", "a", "--kernel", "b"},
           "--kernel is given more than once; see ashlar create --help"},
          {{"list", "--timeout"}, "--timeout must have a value; see ashlar list --help"},
          {{"list", "--timeout", "0"},
           "--timeout: it must be a number from 1 to 86400, not \"0\"; see ashlar list --help"},
          {{"create", "--type", "hvm"},
           "--type: it must be one of pv, pvh, not \"hvm\"; see ashlar create --help"},
          {{"create", "--maxmem", "lots"},
           "--maxmem \"lots\": it must be a number of MiB, or like 512M or 4G; see ashlar create "
           "--help"}}) {
    CHECK(std::get<ExitRequest>(parse(fault.words)).text ==
          "ashlar: " + std::string(fault.text) + "\n");
  }
}

TEST_CASE("arguments: an empty value does not stand for one that was not given") {
  for (const auto& words : std::vector<std::vector<const char*>>{{"create", ""},
                                                                 {"create", "--memory", ""},
                                                                 {"measure", "--builder", ""},
                                                                 {"info", ""},
                                                                 {"measure", "--initrd", ""},
                                                                 {"-H", "", "list"}}) {
    const auto parsed = parse(words);
    REQUIRE(std::holds_alternative<ExitRequest>(parsed));
    CHECK(std::get<ExitRequest>(parsed).text.contains(": it must not be empty; see ashlar "));
  }
  const auto bare = parse({"create", "--cmdline", "", "--nic", ""});
  REQUIRE(std::holds_alternative<Arguments>(bare));
  CHECK(std::get<Arguments>(bare).flags.command_line == "");
}

TEST_CASE("arguments: help and version are no errors, and help shows an example") {
  const auto version = std::get<ExitRequest>(parse({"--version"}));
  CHECK(version.code == 0);
  CHECK(version.text.starts_with("ashlar 0."));
  const auto help = std::get<ExitRequest>(parse({"create", "--help"}));
  CHECK(help.code == 0);
  CHECK(help.text.find("Example: ashlar create --name web") != std::string::npos);
}
