// SPDX-License-Identifier: LGPL-2.1-or-later
// Random policies that differ in devices alone, decided twice, and what the checker says of them:
// with nothing else to restrict them, many of their rules stand behind others.
#include <doctest/doctest.h>

#include "ashlar/policy/policy.hpp"
#include "naive_devices.hpp"

using namespace ashlar;
using namespace ashlar::policy;
using namespace ashlar::policy::naive;

namespace {

struct TestRule {
  bool allow = false;
  TestDevices disks;
  TestDevices nics;
};

struct TestRequest {
  std::vector<TestDevice> disks;
  std::vector<TestDevice> nics;
};

TestRule random_rule(Dice& dice) {
  const bool allow = !dice.one_in(3);
  return {.allow = allow,
          .disks = random_devices(dice, Kind::disk, allow),
          .nics = random_devices(dice, Kind::nic, allow)};
}

TestRequest random_request(Dice& dice) {
  return {.disks = random_guest_devices(dice), .nics = random_guest_devices(dice)};
}

std::string policy_text(const std::vector<TestRule>& rules) {
  std::string text = "[[requester]]\nname = \"r\"\nuid = 0\n";
  // Without these two, an allow rule never stands before all that a deny rule is about.
  const std::string open = "vtpm = \"allowed\"\nxsm_labels = \"any\"\n";
  for (std::size_t i = 0; i < rules.size(); ++i)
    text += fmt::format("[[rule]]\nname = \"{}\"\neffect = \"{}\"\nrequesters = \"any\"\n"
                        "verbs = [\"create\"]\n[rule.guest]\nkernels = \"any\"\n"
                        "initrds = \"any\"\ncommand_lines = \"any\"\n{}{}{}",
                        i, rules[i].allow ? "allow" : "deny", rules[i].allow ? open : "",
                        toml(rules[i].disks), toml(rules[i].nics));
  return text;
}

/// The position of the rule that decides, or the number of rules.
std::size_t naive_decide(const std::vector<TestRule>& rules, const TestRequest& from) {
  const auto found = std::ranges::find_if(rules, [&](const TestRule& rule) {
    return matches(rule.disks, rule.allow, from.disks) && matches(rule.nics, rule.allow, from.nics);
  });
  return static_cast<std::size_t>(found - rules.begin());
}

Request request_of(const TestRequest& from) {
  Request request{.peer = ProcessPeer{0, 0},
                  .verb = Verb::create,
                  .guest = GuestFacts{},
                  .upload = {},
                  .owner = {}};
  request.guest->configuration.name = "guest";
  request.guest->configuration.disks = as_disks(from.disks);
  request.guest->configuration.nics = as_nics(from.nics);
  return request;
}

std::vector<TestRule> random_rules(Dice& dice) {
  std::vector<TestRule> rules;
  do
    rules.push_back(random_rule(dice));
  while (rules.size() < 4 && !dice.one_in(3));
  return rules;
}

/// The positions of the rules that the checker takes for such as can never match.
std::vector<std::size_t> hidden_rules(const Policy::Load& load) {
  std::vector<std::size_t> hidden;
  for (const Finding& finding : load.findings) {
    if (finding.severity == Finding::Severity::warning)
      continue;
    REQUIRE(finding.message.contains("can never match"));
    hidden.push_back(std::stoul(finding.message.substr(std::string("rule \"").size())));
  }
  return hidden;
}

} // namespace

TEST_CASE("policy: random rules on devices decide as a naive evaluator does") {
  Dice dice(20261126);
  unsigned allowed = 0;
  unsigned denied_by_rule = 0;
  unsigned unmatched = 0;
  while (allowed + denied_by_rule + unmatched < 6000) {
    const std::vector<TestRule> rules = random_rules(dice);
    const std::string text = policy_text(rules);
    CAPTURE(text);
    const Policy::Load load = Policy::load({{"random.toml", text}});
    if (!hidden_rules(load).empty())
      continue;
    REQUIRE(load.policy.has_value());
    for (int i = 0; i < 20; ++i) {
      const TestRequest request = random_request(dice);
      const std::size_t position = naive_decide(rules, request);
      const bool matched = position < rules.size();
      const Decision decision = load.policy->decide(request_of(request));
      REQUIRE(decision.rule == (matched ? std::to_string(position) : ""));
      REQUIRE(decision.allowed == (matched && rules[position].allow));
      allowed += decision.allowed ? 1 : 0;
      denied_by_rule += matched && !decision.allowed ? 1 : 0;
      unmatched += matched ? 0 : 1;
    }
  }
  CHECK(allowed > 500);
  CHECK(denied_by_rule > 500);
  CHECK(unmatched > 500);
}

TEST_CASE("policy: what the checker calls a rule that can never match decides no random request") {
  Dice dice(4);
  unsigned hidden_count = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::vector<TestRule> rules = random_rules(dice);
    const std::string text = policy_text(rules);
    CAPTURE(text);
    const auto hidden = hidden_rules(Policy::load({{"random.toml", text}}));
    hidden_count += hidden.empty() ? 0 : 1;
    for (int i = 0; !hidden.empty() && i < 200; ++i)
      REQUIRE(std::ranges::find(hidden, naive_decide(rules, random_request(dice))) == hidden.end());
  }
  CHECK(hidden_count > 200);
}
