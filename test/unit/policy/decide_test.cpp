// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "../vendor_certificate.hpp"
#include "ashlar/policy/policy.hpp"

using namespace ashlar::policy;

namespace {

Policy policy_of(const std::string& text) {
  auto load = Policy::load({{"p.toml", text}});
  for (const Finding& finding : load.findings)
    MESSAGE(finding.text());
  REQUIRE(load.policy.has_value());
  return std::move(*load.policy);
}

const std::string two_requesters = "[[requester]]\nname = \"red\"\ndomain = \"red\"\n"
                                   "[[requester]]\nname = \"blue\"\nuid = 5\nsees = \"all\"\n";

std::string rule(const std::string& name, const std::string& effect, const std::string& requesters,
                 const std::string& verbs, const std::string& tables = {}) {
  return "[[rule]]\nname = \"" + name + "\"\neffect = \"" + effect +
         "\"\nrequesters = " + requesters + "\nverbs = " + verbs + "\n" + tables;
}

const std::string any_image = "initrds = \"any\"\ncommand_lines = \"any\"\nkernels = \"any\"\n";

Request request_from_red(Verb verb) {
  return {.peer = DomainPeer{"red", "00000000-0000-0000-0000-000000000001"},
          .verb = verb,
          .guest = {},
          .upload = {},
          .owner = {}};
}

Request create_from_red(std::uint32_t vcpus) {
  Request request = request_from_red(Verb::create);
  request.guest = GuestFacts{};
  request.guest->configuration.name = "guest";
  request.guest->configuration.vcpus = vcpus;
  return request;
}

} // namespace

TEST_CASE("decide: the first rule that matches decides, and the trace ends with it") {
  const Policy policy =
      policy_of(two_requesters + rule("for blue", "allow", "[\"blue\"]", "[\"list\"]") +
                rule("no", "deny", "[\"red\"]", "[\"list\"]") +
                rule("yes", "allow", "\"any\"", "[\"list\", \"info\"]"));
  const Decision decision = policy.decide(request_from_red(Verb::list));
  CHECK_FALSE(decision.allowed);
  CHECK(decision.rule == "no");
  CHECK(decision.requester == "red");
  CHECK(decision.where.text() == "p.toml:13:1");
  CHECK(decision.reason == "rule \"no\" denies this");
  REQUIRE(decision.trace.size() == 2);
  CHECK(decision.trace[0].rule == "for blue");
  CHECK(decision.trace[0].failed_condition == "it is not for requester \"red\"");
  CHECK(decision.trace[1].failed_condition.empty());
}

TEST_CASE("decide: no rule that matches means no") {
  const Policy policy = policy_of(two_requesters + rule("look", "allow", "\"any\"", "[\"list\"]"));
  const Decision decision = policy.decide(request_from_red(Verb::destroy));
  CHECK_FALSE(decision.allowed);
  CHECK(decision.rule.empty());
  CHECK(decision.where.line == 0);
  CHECK(decision.trace.size() == 1);
}

TEST_CASE("decide: the reason names the nearest rule among those for this requester") {
  const std::string near = "[rule.guest]\nnames = [\"guest\"]\nmax_vcpus = 2\n" + any_image;
  const std::string far = "[rule.guest]\nnames = [\"other\"]\nmax_vcpus = 2\n" + any_image;
  const std::string secret = "[rule.guest]\nnames = [\"guest\"]\nmax_vcpus = 8\n" + any_image;
  const Policy policy =
      policy_of(two_requesters + rule("far", "allow", "[\"red\"]", "[\"create\"]", far) +
                rule("near", "allow", "\"any\"", "[\"create\"]", near) +
                rule("secret", "allow", "[\"blue\"]", "[\"create\"]", secret));
  CHECK(policy.decide(create_from_red(2)).rule == "near");
  const Decision decision = policy.decide(create_from_red(3));
  CHECK(decision.reason ==
        "no rule allows this: rule \"near\" would, but 3 vcpus are above its max_vcpus of 2");
  CHECK(decision.trace.size() == 3);
}

TEST_CASE("decide: rules for others never appear in a reason") {
  const Policy policy =
      policy_of(two_requesters + rule("secret", "allow", "[\"blue\"]", "[\"list\"]") +
                rule("open", "allow", "[\"red\"]", "[\"info\"]"));
  const Decision decision = policy.decide(request_from_red(Verb::list));
  CHECK(decision.reason ==
        "no rule allows this: no allow rule for requester \"red\" covers the verb list");
}

TEST_CASE("decide: a create without guest facts and an upload without its facts are denied") {
  const Policy policy = policy_of(
      two_requesters + rule("all", "allow", "\"any\"", "\"any\"", "[rule.guest]\n" + any_image));
  CHECK(policy.decide(create_from_red(1)).allowed);
  CHECK_FALSE(policy.decide(request_from_red(Verb::create)).allowed);
  CHECK_FALSE(policy.decide(request_from_red(Verb::upload)).allowed);
  Request upload = request_from_red(Verb::upload);
  upload.upload = UploadFacts{};
  CHECK(policy.decide(upload).allowed);
}

TEST_CASE("decide: a domain that the requester may not see is denied as if it did not exist") {
  const Policy policy =
      policy_of(two_requesters + rule("all", "allow", "\"any\"", "[\"destroy\"]"));
  Request request = request_from_red(Verb::destroy);
  request.owner = "red";
  CHECK(policy.decide(request).allowed);
  request.owner = "blue";
  const Decision hidden = policy.decide(request);
  CHECK_FALSE(hidden.allowed);
  CHECK(hidden.reason == no_such_domain);
  CHECK(hidden.rule.empty());
  CHECK(hidden.trace.empty());
  request.peer = ProcessPeer{5, 5};
  request.owner = "red";
  CHECK(policy.decide(request).allowed);
}

TEST_CASE("decide: a peer that no requester matches is denied everything") {
  const Policy policy = policy_of(two_requesters + rule("all", "allow", "\"any\"", "[\"list\"]"));
  Request request = request_from_red(Verb::list);
  request.peer = DomainPeer{"stran\nger", "x"};
  const Decision decision = policy.decide(request);
  CHECK_FALSE(decision.allowed);
  CHECK(decision.requester.empty());
  CHECK(decision.reason == "the policy has no requester for domain \"stran\\x0ager\" (uuid x)");
}

TEST_CASE("decide: what a requester wrote is escaped in a reason, and the reason has a limit") {
  const std::string tables = R"(
[rule.guest]
names = ["x"]
types = ["pv"]
kernels = ["k"]
initrds = ["i"]
command_lines = ["quiet"]
max_vcpus = 4096
max_memory_mib = 4398046511104
max_initrds = 0
)";
  const std::string zeros(64, '0');
  const std::string images = "[[image]]\nname = \"k\"\nkind = \"kernel\"\nsha256 = \"1" +
                             zeros.substr(1) + "\"\n[[image]]\nname = \"i\"\nkind = \"initrd\"\n" +
                             "sha256 = \"2" + zeros.substr(1) + "\"\n";
  const Policy policy =
      policy_of(two_requesters + images +
                rule(std::string(127, 'r'), "allow", "\"any\"", "[\"create\"]", tables));
  Request request = create_from_red(4000000000);
  request.guest->configuration.name = std::string(63, 'n');
  request.guest->configuration.max_memory_kib = ~std::uint64_t{0};
  request.guest->command_line = std::string(199, 'x') + "\n" + std::string(2000, 'x');
  request.guest->initrds.resize(10);
  const Decision decision = policy.decide(request);
  CHECK(decision.reason.contains("xxx\\x0a"));
  CHECK(decision.reason.size() == max_reason_bytes);
  CHECK(decision.reason.ends_with("..."));
}

TEST_CASE("decide: one KiB above max_memory_mib is too much, the limit itself is not") {
  const Policy policy =
      policy_of(two_requesters + rule("small", "allow", "\"any\"", "[\"create\"]",
                                      "\n[rule.guest]\nkernels = \"any\"\ninitrds = \"any\"\n"
                                      "command_lines = \"any\"\nmax_memory_mib = 1\n"));
  Request request = create_from_red(1);
  request.guest->configuration.memory_kib = 1024;
  request.guest->configuration.max_memory_kib = 1024;
  CHECK(policy.decide(request).allowed);
  request.guest->configuration.max_memory_kib = 1025;
  CHECK_FALSE(policy.decide(request).allowed);
}

TEST_CASE("requesters: each kind of identity matches its own kind of peer only") {
  const Policy policy =
      policy_of("[[requester]]\nname = \"d\"\ndomain = \"x\"\n"
                "[[requester]]\nname = \"i\"\nuuid = \"6A0E5A44-2F4E-4B0E-9D57-0C5F6F7A1B11\"\n"
                "[[requester]]\nname = \"u\"\nuid = 0\n[[requester]]\nname = \"g\"\ngid = 0\n"
                "[[requester]]\nname = \"b\"\nboot = true\n" +
                rule("all", "allow", "\"any\"", "[\"list\"]"));
  CHECK(policy.requester_name(DomainPeer{"x", ""}) == "d");
  CHECK(policy.requester_name(DomainPeer{"y", "6a0e5a44-2f4e-4b0e-9d57-0c5f6f7a1b11"}) == "i");
  CHECK(policy.requester_name(ProcessPeer{0, 9}) == "u");
  CHECK(policy.requester_name(ProcessPeer{9, 0}) == "g");
  CHECK(policy.requester_name(BootManifestPeer{}) == "b");
  CHECK_FALSE(policy.requester_name(DomainPeer{"", ""}).has_value());
  CHECK_FALSE(policy.requester_name(ProcessPeer{9, 9}).has_value());
}

TEST_CASE("requesters: of two that match, the first one written counts") {
  const Policy policy =
      policy_of("[[requester]]\nname = \"g\"\ngid = 0\n[[requester]]\nname = \"u\"\nuid = 0\n" +
                rule("all", "allow", "\"any\"", "[\"list\"]"));
  CHECK(policy.requester_name(ProcessPeer{0, 0}) == "g");
  CHECK(policy.requester_name(ProcessPeer{0, 1}) == "u");
}

TEST_CASE("visibility: own domains always, others' only with sees = \"all\"") {
  const Policy policy = policy_of(two_requesters + rule("all", "allow", "\"any\"", "[\"list\"]"));
  CHECK(policy.may_see("red", "red"));
  CHECK_FALSE(policy.may_see("red", "blue"));
  CHECK(policy.may_see("blue", "red"));
  CHECK_FALSE(policy.may_see("nobody", "red"));
}

TEST_CASE("decide: a kernel is approved where a rule lists it and none before it may deny") {
  const std::string listed = "[[image]]\nname = \"k\"\nkind = \"kernel\"\nsha256 = \"" +
                             std::string(64, '1') +
                             "\"\n[[image]]\nname = \"other\"\n"
                             "kind = \"kernel\"\nsha256 = \"" +
                             std::string(64, '2') + "\"\n";
  const std::string tables = "[rule.guest]\ninitrds = []\ncommand_lines = [\"x\"]\n";
  const auto allow = [&](const std::string& requester, const std::string& kernels) {
    return rule("allow", "allow", "[\"" + requester + "\"]", "[\"create\"]",
                tables + "kernels = " + kernels + "\n");
  };
  const auto deny = [&](const std::string& condition) {
    return rule("deny", "deny", "\"any\"", "[\"create\"]", "[rule.guest]\n" + condition + "\n");
  };
  ashlar::measure::Sha256 kernel{};
  kernel.fill(std::byte{0x11});
  const auto approves = [&](const std::string& text) {
    return policy_of(two_requesters + listed + text)
        .approves_kernel(request_from_red(Verb::create).peer, kernel);
  };
  CHECK(approves(allow("red", "[\"k\"]")));
  CHECK(approves(allow("red", "\"any\"")));
  CHECK_FALSE(approves(allow("red", "[\"other\"]")));
  CHECK_FALSE(approves(allow("blue", "[\"k\"]")));
  CHECK(approves(deny("kernels = [\"other\"]") + allow("red", "[\"k\"]")));
  CHECK_FALSE(approves(deny("names = [\"web-*\"]") + allow("red", "[\"k\"]")));
  CHECK_FALSE(approves(deny("disks = \"any\"") + allow("red", "[\"k\"]")));
  CHECK(approves(allow("red", "[\"k\"]\ndisks = \"any\"")));
  CHECK_FALSE(approves(deny("kernels = [\"k\"]\nnames = [\"web-*\"]") + allow("red", "[\"k\"]")));
  const std::string inside =
      "[[revoked]]\nauthenticode_sha256 = \"" + std::string(64, '3') + "\"\n";
  CHECK_FALSE(approves(inside + allow("red", "[\"k\"]")));
  CHECK_FALSE(approves("[[revoked]]\nsha256 = \"" + std::string(64, '1') + "\"\n" +
                       allow("red", "[\"k\"]")));
}

TEST_CASE("decide: what the builder starts itself is not looked into, nor refused for what others' "
          "looks found") {
  const Policy policy =
      policy_of("[[revoked]]\nauthenticode_sha256 = \"" + std::string(64, '0') +
                "\"\n[[requester]]\nname = \"boot\"\nboot = true\n" + two_requesters +
                rule("all", "allow", "\"any\"", "\"any\"", "[rule.guest]\n" + any_image));
  Request request = create_from_red(1);
  const Decision open = policy.decide(request);
  CHECK(open.unverified);
  CHECK(open.needs_kernel);
  CHECK_FALSE(open.allowed);
  CHECK(open.reason.find("nobody has looked for this kernel's") != std::string::npos);
  request.peer = BootManifestPeer{};
  CHECK(policy.decide(request).allowed);
  request.guest->kernel.looked_inside = true;
  CHECK(policy.decide(request).allowed); // no PE image
  request.guest->kernel.authenticode = ashlar::measure::Sha256{};
  CHECK(policy.decide(request).allowed);
  request.peer = create_from_red(1).peer;
  CHECK(policy.decide(request).reason.starts_with("the policy revokes the kernel with the "
                                                  "Authenticode sha256 0000"));
}

TEST_CASE("decide: signatures that came with the request alone do not need the kernel") {
  const std::string certificate =
      std::string("[[certificate]]\nname = \"c\"\npem = '''\n") + vendor_certificate +
      "'''\n[[image]]\nname = \"i\"\nkind = \"initrd\"\n" +
      "signed_by = [\"c\"]\n[[image]]\nname = \"k\"\nkind = \"kernel\"\nsigned_by = [\"c\"]\n";
  const auto guest = [](const std::string& name, const std::string& kernels) {
    return rule(name, "allow", "\"any\"", "[\"create\"]",
                "[rule.guest]\nkernels = " + kernels +
                    "\ninitrds = [\"i\"]\ncommand_lines = \"any\"\n");
  };
  Request request = create_from_red(1);
  request.guest->initrds.emplace_back();
  const std::string first = certificate + two_requesters + guest("any kernel", "\"any\"");
  const Decision brought = policy_of(first).decide(request);
  CHECK(brought.unverified);
  CHECK_FALSE(brought.needs_kernel);
  // A rule further on may ask for it, once the first one fails.
  const Decision later =
      policy_of(first + rule("signed", "allow", "\"any\"", "[\"create\"]",
                             "[rule.guest]\nkernels = [\"k\"]\ninitrds = \"any\"\n"
                             "command_lines = \"any\"\n"))
          .decide(request);
  CHECK(later.needs_kernel);
}
