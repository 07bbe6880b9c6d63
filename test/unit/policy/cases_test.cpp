// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/policy/cases.hpp"

using namespace ashlar::policy;

namespace {

constexpr const char* policy_text = R"(
[[image]]
name = "k"
kind = "kernel"
sha256 = "abababababababababababababababababababababababababababababababab"

[[requester]]
name = "user"
uid = 65534

[[requester]]
name = "group"
gid = 65534

[[requester]]
name = "red"
domain = "red"

[[requester]]
name = "second"
uuid = "00000000-0000-0000-0000-00000000fffe"

[[requester]]
name = "boot"
boot = true

[[rule]]
name = "small"
effect = "allow"
requesters = "any"
verbs = ["create", "list"]
  [rule.guest]
  kernels = ["k"]
  initrds = []
  command_lines = "any"
  max_memory_mib = 512
)";

Policy policy() {
  auto load = Policy::load({{"p.toml", policy_text}});
  REQUIRE(load.policy.has_value());
  return std::move(*load.policy);
}

Cases cases_of(const std::string& text) {
  return read_cases({"c.cases.toml", text}, policy());
}

std::string first_finding(const std::string& text) {
  const Cases read = cases_of(text);
  CHECK(read.cases.empty());
  REQUIRE_FALSE(read.findings.empty());
  return read.findings.front().text();
}

} // namespace

TEST_CASE(
    "cases: a requester's peer is that requester and no other, whatever the policy declares") {
  const Policy loaded = policy();
  const Declared declared = loaded.declared();
  CHECK(declared.requesters == std::vector<std::string>{"user", "group", "red", "second", "boot"});
  for (const std::string& name : declared.requesters) {
    const auto peer = loaded.peer_of(name);
    REQUIRE(peer.has_value());
    CHECK(loaded.requester_name(*peer) == name);
  }
  CHECK_FALSE(loaded.peer_of("stranger").has_value());
}

TEST_CASE("cases: names of the policy stand for its requesters and for an image's first digest") {
  const Cases read = cases_of("[[case]]\nas = \"group\"\nverb = \"create\"\nkernel = \"k\"\n"
                              "memory_mib = 512\nexpect = \"allow\"\nrule = \"small\"\n");
  REQUIRE(read.findings.empty());
  REQUIRE(read.cases.size() == 1);
  CHECK(read.cases[0].request.guest->kernel.digests.sha256.front() == std::byte{0xab});
  CHECK(differences(read.cases[0], policy().decide(read.cases[0].request)).empty());
}

TEST_CASE("cases: another decision, another rule and another reason are differences") {
  const Cases read =
      cases_of("[[case]]\nas = \"red\"\nverb = \"list\"\nexpect = \"deny\"\n"
               "[[case]]\nas = \"red\"\nverb = \"list\"\nexpect = \"allow\"\nrule = \"other\"\n"
               "[[case]]\nas = \"red\"\nverb = \"list\"\nexpect = \"allow\"\nrule = \"small\"\n"
               "reason = \"because\"\n");
  REQUIRE(read.cases.size() == 3);
  for (const Case& one : read.cases)
    CHECK(differences(one, policy().decide(one.request)).size() == 1);
  CHECK(differences(read.cases[0], policy().decide(read.cases[0].request))[0] ==
        "expected denied (no rule matches), but it is allowed by rule \"small\": rule \"small\" "
        "allows this");
}

TEST_CASE("cases: a misspelt image or requester is an error and no case") {
  CHECK(first_finding("[[case]]\nas = \"rde\"\nverb = \"list\"\nexpect = \"deny\"\n") ==
        "c.cases.toml:2:6: error: the policy has no requester \"rde\": correct the name, or say "
        "who asks with domain, uuid or uid");
  CHECK(first_finding("[[case]]\nas = \"red\"\nverb = \"create\"\nkernel = \"kk\"\n"
                      "expect = \"deny\"\n")
            .contains("c.cases.toml:4:10: error: \"kk\" is neither an image of the policy nor"));
}

TEST_CASE("cases: what a case says must make a difference, and all that is needed must be said") {
  CHECK(first_finding("[[case]]\nverb = \"list\"\nexpect = \"deny\"\n")
            .contains("[[case]] has 0 of as, domain, uuid, uid, boot"));
  CHECK(first_finding("[[case]]\nas = \"red\"\nuid = 0\nverb = \"list\"\nexpect = \"deny\"\n")
            .contains("[[case]] has 2 of as, domain, uuid, uid, boot"));
  CHECK(first_finding("[[case]]\nas = \"red\"\nexpect = \"deny\"\n").contains("no \"verb\""));
  CHECK(first_finding("[[case]]\nas = \"red\"\nverb = \"list\"\n").contains("no \"expect\""));
  CHECK(first_finding("[[case]]\nas = \"red\"\nverb = \"list\"\nexpect = \"allow\"\n")
            .contains("no \"rule\""));
  CHECK(first_finding("[[case]]\nas = \"red\"\nverb = \"list\"\nvcpus = 1\nexpect = \"deny\"\n")
            .contains("unknown key \"vcpus\""));
  CHECK(first_finding("[[rule]]\nname = \"x\"\n").contains("unknown key \"rule\""));
  CHECK(first_finding("").contains("the file has no [[case]]"));
  CHECK(first_finding("[[case]\n").contains("this is not TOML"));
}

TEST_CASE("cases: devices are read as a measured configuration has them") {
  const std::string head = "[[case]]\nas = \"red\"\nverb = \"create\"\nexpect = \"deny\"\n";
  const Cases read = cases_of(
      head + "disks = [\"xvda,access=rw,backend=s,target=/d\"]\n"
             "nics = [\"backend=n,bridge=b,mac=auto\", \"backend=n,bridge=b,mac=auto\"]\n");
  CHECK(read.findings.empty());
  REQUIRE(read.cases.size() == 1);
  const auto& configuration = read.cases[0].request.guest->configuration;
  CHECK(configuration.disks ==
        std::vector<ashlar::measure::Disk>{
            {.vdev = "xvda", .writable = true, .backend = "s", .target = "/d"}});
  CHECK(configuration.nics == std::vector<ashlar::measure::Nic>(2, {"n", "b", ""}));
  CHECK(first_finding(head + "disks = [\"xvda,backend=s,target=/d\"]\n")
            .starts_with("c.cases.toml:5:10: error: reading the disk \"xvda,backend=s"));
  CHECK(first_finding(head + "nics = [\"backend=n,bridge=b,mac=AA:00:00:00:00:00\"]\n")
            .starts_with("c.cases.toml:5:9: error: checking the network interface 0"));
  CHECK(first_finding(head + "nics = [1]\n").starts_with("c.cases.toml:5:9: error: reading the"));
  CHECK(first_finding(head + "disks = \"xvda\"\n") ==
        "c.cases.toml:5:1: error: \"disks\" in [[case]] is a string: write an array");
  CHECK(
      first_finding(head + "disks = [\"xvda,access=rw,backend=s,target=/d\", "
                           "\"xvda,access=ro,backend=s,target=/e\"]\n")
          .starts_with("c.cases.toml:5:1: error: checking the guest's devices: it has two disks"));
  CHECK(first_finding("[[case]]\nas = \"red\"\nverb = \"list\"\ndisks = []\nexpect = \"deny\"\n")
            .contains("unknown key \"disks\""));
}

TEST_CASE("cases: an error in one case leaves the others") {
  const Cases read = cases_of("[[case]]\nas = \"red\"\nverb = \"list\"\nexpect = \"maybe\"\n"
                              "[[case]]\nas = \"red\"\nverb = \"info\"\nexpect = \"deny\"\n");
  CHECK(read.findings.size() == 1);
  CHECK(read.cases.size() == 1);
}
