// SPDX-License-Identifier: LGPL-2.1-or-later
// One decision of policies with 10, 100 and 1000 rules, of which the last is the one that matches.
#include "ashlar/policy/policy.hpp"

#include <fmt/format.h>

#include "bench.hpp"

namespace ashlar::bench {

namespace {

constexpr unsigned kernel_digit = 0x11; // every byte of the kernel's digest

std::string policy_text(std::int64_t rules) {
  std::string text = fmt::format("version = 1\n"
                                 "[[image]]\nname = \"kernel\"\nkind = \"kernel\"\n"
                                 "sha256 = \"{:1>64}\"\n"
                                 "[[requester]]\nname = \"toolstack\"\ndomain = \"toolstack\"\n",
                                 1);
  for (std::int64_t rule = 0; rule < rules; ++rule)
    text += fmt::format("[[rule]]\nname = \"rule {0}\"\neffect = \"allow\"\n"
                        "requesters = [\"toolstack\"]\nverbs = [\"create\"]\n"
                        "[rule.guest]\nnames = [\"guest-{0}\"]\nkernels = [\"kernel\"]\n"
                        "initrds = []\ncommand_lines = [\"console=hvc0\"]\nmax_vcpus = 4\n",
                        rule);
  return text;
}

policy::Request request_for(std::int64_t rule) {
  policy::GuestFacts guest;
  guest.configuration.name = fmt::format("guest-{}", rule);
  guest.configuration.memory_kib = guest.configuration.max_memory_kib = 1 << 20;
  guest.command_line = "console=hvc0";
  guest.kernel.size = 1;
  guest.kernel.digests.sha256.fill(std::byte{kernel_digit});
  policy::Request request;
  request.peer = policy::DomainPeer{"toolstack", "6a0e5a44-2f4e-4b0e-9d57-0c5f6f7a1b11"};
  request.verb = policy::Verb::create;
  request.guest = guest;
  return request;
}

void decide(benchmark::State& state) {
  const policy::Policy::Load load =
      policy::Policy::load({{"rules.toml", policy_text(state.range(0))}});
  if (!load.policy) {
    state.SkipWithError(load.findings.front().text().c_str());
    return;
  }
  const policy::Request request = request_for(state.range(0) - 1);
  for (auto _ : state) {
    const policy::Decision decision = load.policy->decide(request);
    if (!decision.allowed) {
      state.SkipWithError(decision.reason.c_str());
      return;
    }
  }
}

BENCHMARK(decide)->Name("policy_10_rules/ashlar")->Arg(10);
BENCHMARK(decide)->Name("policy_100_rules/ashlar")->Arg(100);
BENCHMARK(decide)->Name("policy_1000_rules/ashlar")->Arg(1000);

} // namespace

} // namespace ashlar::bench
