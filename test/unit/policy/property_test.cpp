// SPDX-License-Identifier: LGPL-2.1-or-later
// Random policies and requests, decided twice: by the policy library from TOML text, and by the
// short evaluator below from the structures that the text was written from.
#include <doctest/doctest.h>

#include "../vendor_certificate.hpp"
#include "ashlar/policy/policy.hpp"
#include "naive_devices.hpp"

using namespace ashlar;
using namespace ashlar::policy;
using namespace ashlar::policy::naive;

namespace {

struct TestRule {
  bool allow = false;
  Words requesters;
  std::vector<std::string> verbs;
  Words names, kernels, initrds, parameters;
  std::optional<unsigned> max_vcpus;
  std::string vtpm; // empty: left out
  Words vtpm_versions;
  bool says_labels = false;
  Words labels; // globs
  TestDevices disks;
  TestDevices nics;
};

const std::vector<std::string> requester_names = {"r0", "r1", "r2"}; // uid 0, 1, 2
// sha256 of bytes 0, 1, 2; s0 and s1: those that certificate c0 or c1 has signed
const std::vector<std::string> kernel_names = {"k0", "k1", "k2", "s0", "s1"};
const std::vector<std::string> initrd_names = {"i0", "i1", "i2", "t0", "t1"};
// A deny rule cannot know an image by its signer.
const std::vector<std::string> deniable_kernels = {"k0", "k1", "k2"};
const std::vector<std::string> deniable_initrds = {"i0", "i1", "i2"};
const std::vector<std::string> vtpm_uses = {"", "forbidden", "allowed", "required"};
const std::vector<std::string> vtpm_versions = {"1.2", "2.0"};
const std::vector<std::string> globs = {"a*", "*b", "?", "ab", "a?b*"};
const std::vector<std::string> texts = {"a", "b", "ab", "acb", "ba"};

TestRule random_rule(Dice& dice) {
  const bool allow = !dice.one_in(3);
  TestRule rule{.allow = allow,
                .requesters = dice.some_or_any(requester_names),
                .verbs = {"create"},
                .names = dice.some_or_any(globs),
                .kernels = dice.some_or_any(allow ? kernel_names : deniable_kernels),
                .initrds = dice.some_or_any(allow ? initrd_names : deniable_initrds),
                .parameters = dice.some_or_any(globs),
                .max_vcpus = {},
                .vtpm = {},
                .vtpm_versions = {},
                .says_labels = dice.one_in(3),
                .labels = dice.some_or_any(globs),
                .disks = random_devices(dice, Kind::disk, allow),
                .nics = random_devices(dice, Kind::nic, allow)};
  if (rule.allow && dice.one_in(2))
    rule.max_vcpus = 1 + dice.below(4);
  if (rule.allow)
    rule.vtpm = dice.pick(vtpm_uses);
  if (rule.vtpm == "allowed" || rule.vtpm == "required")
    rule.vtpm_versions = dice.some_or_any(vtpm_versions);
  if (rule.allow && dice.one_in(3))
    rule.verbs.emplace_back("list");
  // Few random guests have what a deny rule wants of both kinds.
  if (!rule.allow)
    (dice.one_in(2) ? rule.disks : rule.nics).said = false;
  return rule;
}

std::string policy_text(const std::vector<TestRule>& rules, bool revokes_inside) {
  std::string text = "[[revoked]]\nsha256 = \"" + std::string(63, '0') + "4\"\n";
  if (revokes_inside)
    text += "authenticode_sha256 = \"" + std::string(63, '0') + "5\"\n";
  for (unsigned i = 0; i < 2; ++i)
    text += fmt::format("[[certificate]]\nname = \"c{0}\"\npem = '''\n{1}'''\n"
                        "[[image]]\nname = \"s{0}\"\nkind = \"kernel\"\nsigned_by = [\"c{0}\"]\n"
                        "[[image]]\nname = \"t{0}\"\nkind = \"initrd\"\nsigned_by = [\"c{0}\"]\n",
                        i, vendor_certificate);
  for (unsigned i = 0; i < 3; ++i) {
    text += fmt::format("[[requester]]\nname = \"r{0}\"\nuid = {0}\n", i);
    for (const auto& [letter, kind] : {std::pair('k', "kernel"), std::pair('i', "initrd")})
      text += fmt::format("[[image]]\nname = \"{0}{1}\"\nkind = \"{2}\"\nsha256 = \"{3:064}\"\n",
                          letter, i, kind, i);
  }
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const TestRule& rule = rules[i];
    text += fmt::format(
        "[[rule]]\nname = \"{}\"\neffect = \"{}\"\nrequesters = {}\nverbs = {}\n[rule.guest]\n"
        "names = {}\nkernels = {}\ninitrds = {}\ncommand_line_parameters = {}\n",
        i, rule.allow ? "allow" : "deny", toml(rule.requesters), toml(Words(rule.verbs)),
        toml(rule.names), toml(rule.kernels), toml(rule.initrds), toml(rule.parameters));
    if (rule.max_vcpus)
      text += fmt::format("max_vcpus = {}\n", *rule.max_vcpus);
    if (!rule.vtpm.empty())
      text += fmt::format("vtpm = \"{}\"\n", rule.vtpm);
    if (rule.vtpm_versions)
      text += fmt::format("vtpm_versions = {}\n", toml(rule.vtpm_versions));
    if (rule.says_labels)
      text += fmt::format("xsm_labels = {}\n", toml(rule.labels));
    text += toml(rule.disks) + toml(rule.nics);
  }
  return text;
}

struct TestRequest {
  unsigned uid = 0; // 3 is nobody
  bool create = true;
  std::string name;
  unsigned kernel = 0;    // 3 is in no image, 4 is revoked
  unsigned signed_by = 0; // bit i: c<i> has signed the kernel
  unsigned inside = 0;    // its Authenticode digest; 0: none, 5 may be revoked
  std::vector<unsigned> initrds;
  std::vector<unsigned> initrds_signed_by; // of each, likewise
  std::vector<std::string> parameters;
  unsigned vcpus = 1;
  std::string vtpm;  // empty: none
  std::string label; // likewise
  std::vector<TestDevice> disks;
  std::vector<TestDevice> nics;
};

TestRequest random_request(Dice& dice) {
  TestRequest request{.uid = dice.one_in(12) ? 3 : dice.below(3),
                      .create = !dice.one_in(5),
                      .name = dice.pick(texts),
                      .kernel = dice.below(dice.one_in(4) ? 5 : 3),
                      .signed_by = dice.below(4),
                      .inside = dice.below(6),
                      .initrds = {},
                      .initrds_signed_by = {},
                      .parameters = {},
                      .vcpus = 1 + dice.below(4),
                      .vtpm = dice.one_in(2) ? "" : dice.pick(vtpm_versions),
                      .label = dice.one_in(3) ? dice.pick(texts) : "",
                      .disks = {},
                      .nics = {}};
  if (dice.one_in(2))
    request.disks = random_guest_devices(dice);
  if (dice.one_in(2))
    request.nics = random_guest_devices(dice);
  while (dice.one_in(2)) {
    request.initrds.push_back(dice.below(dice.one_in(6) ? 4 : 3));
    request.initrds_signed_by.push_back(dice.below(4));
  }
  while (dice.one_in(2))
    request.parameters.push_back(dice.pick(texts));
  return request;
}

bool naive_vtpm(const TestRule& rule, const std::string& vtpm) {
  if (vtpm.empty())
    return rule.vtpm != "required";
  return !rule.vtpm.empty() && rule.vtpm != "forbidden" && listed(rule.vtpm_versions, vtpm);
}

bool naive_label(const TestRule& rule, const std::string& label) {
  if (!rule.says_labels)
    return !rule.allow || label.empty();
  return !rule.labels || (!label.empty() && fits_one(rule.labels, label));
}

bool naive_image(const Words& words, const std::string& name, char by_signer, unsigned signed_by) {
  if (listed(words, name))
    return true;
  for (unsigned i = 0; i < 2; ++i)
    if ((signed_by >> i & 1) == 1 && listed(words, fmt::format("{}{}", by_signer, i)))
      return true;
  return false;
}

bool naive_match(const TestRule& rule, const TestRequest& request) {
  if (!listed(rule.requesters, fmt::format("r{}", request.uid)))
    return false;
  if (!request.create)
    return std::ranges::count(rule.verbs, "list") == 1;
  if (!fits_one(rule.names, request.name) ||
      !naive_image(rule.kernels, fmt::format("k{}", request.kernel), 's', request.signed_by))
    return false;
  if (!naive_label(rule, request.label) || !matches(rule.disks, rule.allow, request.disks) ||
      !matches(rule.nics, rule.allow, request.nics))
    return false;
  std::size_t initrds = 0;
  for (std::size_t i = 0; i < request.initrds.size(); ++i)
    initrds += naive_image(rule.initrds, fmt::format("i{}", request.initrds[i]), 't',
                           request.initrds_signed_by[i])
                   ? 1
                   : 0;
  std::size_t parameters = 0;
  for (const std::string& parameter : request.parameters)
    parameters += fits_one(rule.parameters, parameter) ? 1 : 0;
  if (!rule.allow)
    return (!rule.initrds || initrds > 0) && (!rule.parameters || parameters > 0);
  return initrds == request.initrds.size() && parameters == request.parameters.size() &&
         (!rule.max_vcpus || request.vcpus <= *rule.max_vcpus) && naive_vtpm(rule, request.vtpm);
}

/// The position of the rule that decides, or the number of rules.
std::size_t naive_decide(const std::vector<TestRule>& rules, bool revokes_inside,
                         const TestRequest& request) {
  if (request.create && (request.kernel == 4 || (revokes_inside && request.inside == 5)))
    return rules.size();
  std::size_t i = 0;
  while (i < rules.size() && (request.uid == 3 || !naive_match(rules[i], request)))
    ++i;
  return i;
}

measure::Sha256 digest(unsigned number) {
  measure::Sha256 digest{};
  digest.back() = static_cast<std::byte>(number);
  return digest;
}

ImageFacts image(unsigned number) {
  ImageFacts facts;
  facts.digests.sha256 = digest(number);
  return facts;
}

std::vector<std::string> signers(unsigned signed_by) {
  std::vector<std::string> names;
  for (unsigned i = 0; i < 2; ++i)
    if ((signed_by >> i & 1) == 1)
      names.push_back(fmt::format("c{}", i));
  return names;
}

/// As the broker does: first without a look at signatures, then with those that came along, then
/// with all. What is decided with fewer facts must be the same as with more.
Decision ask(const Policy& policy, Request request, const TestRequest& from) {
  Decision decision = policy.decide(request);
  if (!from.create)
    return decision;
  const Decision first = decision;
  GuestFacts& guest = *request.guest;
  const auto learn = [&] {
    const Decision before = decision;
    decision = policy.decide(request);
    CHECK_FALSE((before.unverified && before.allowed));
    // A refusal may give way to the one that the kernel is revoked, and to nothing else.
    const bool revoked = guest.kernel.looked_inside && from.inside == 5 && decision.rule.empty();
    if (!before.unverified)
      CHECK((before.allowed == decision.allowed && (before.rule == decision.rule || revoked)));
  };
  for (std::size_t i = 0; i < guest.initrds.size(); ++i) {
    guest.initrds[i].signers = signers(from.initrds_signed_by[i]);
    guest.initrds[i].all_signers_known = true;
  }
  guest.kernel.signers = signers(from.signed_by & 1); // c1 has signed it inside
  learn();
  CHECK_FALSE((decision.unverified && !decision.needs_kernel));
  CHECK((!first.unverified || first.needs_kernel || !decision.unverified));
  guest.kernel.signers = signers(from.signed_by);
  guest.kernel.all_signers_known = true;
  guest.kernel.looked_inside = true;
  if (from.inside != 0)
    guest.kernel.authenticode = digest(from.inside);
  learn();
  CHECK_FALSE(decision.unverified);
  return decision;
}

Request request_of(const TestRequest& from) {
  Request request{.peer = ProcessPeer{from.uid, 100},
                  .verb = from.create ? Verb::create : Verb::list,
                  .guest = {},
                  .upload = {},
                  .owner = {}};
  if (!from.create)
    return request;
  GuestFacts guest;
  guest.configuration.name = from.name;
  guest.configuration.vcpus = from.vcpus;
  if (!from.vtpm.empty())
    guest.configuration.vtpm = *measure::vtpm_from_text(from.vtpm);
  guest.configuration.xsm_label = from.label;
  guest.configuration.disks = as_disks(from.disks);
  guest.configuration.nics = as_nics(from.nics);
  guest.command_line = fmt::format("{}", fmt::join(from.parameters, "  "));
  guest.kernel = image(from.kernel);
  for (const unsigned initrd : from.initrds)
    guest.initrds.push_back(image(initrd));
  request.guest = std::move(guest);
  return request;
}

/// Only the findings that a random policy may have: a rule hidden behind another, and the lack of
/// use.
void check_refusal(const Policy::Load& load) {
  for (const Finding& finding : load.findings)
    if (finding.severity == Finding::Severity::error)
      CHECK(finding.message.contains("can never match"));
}

} // namespace

TEST_CASE("policy: random policies decide random requests as a naive evaluator does") {
  Dice dice(20140317);
  unsigned allowed = 0;
  unsigned denied_by_rule = 0;
  unsigned unmatched = 0;
  while (allowed + denied_by_rule + unmatched < 6000) {
    std::vector<TestRule> rules;
    do
      rules.push_back(random_rule(dice));
    while (rules.size() < 6 && !dice.one_in(4));
    const bool revokes_inside = dice.one_in(2);
    const std::string text = policy_text(rules, revokes_inside);
    CAPTURE(text);
    const Policy::Load load = Policy::load({{"random.toml", text}});
    check_refusal(load);
    if (!load.policy)
      continue;
    for (int i = 0; i < 20; ++i) {
      const TestRequest request = random_request(dice);
      const std::size_t position = naive_decide(rules, revokes_inside, request);
      const bool matched = position < rules.size();
      const Decision decision = ask(*load.policy, request_of(request), request);
      REQUIRE(decision.rule == (matched ? std::to_string(position) : ""));
      REQUIRE(decision.allowed == (matched && rules[position].allow));
      allowed += decision.allowed ? 1 : 0;
      denied_by_rule += matched && !decision.allowed ? 1 : 0;
      unmatched += matched ? 0 : 1;
    }
  }
  CHECK(allowed > 500);
  CHECK(denied_by_rule > 100);
  CHECK(unmatched > 500);
}
