// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/policy/policy.hpp"

using namespace ashlar::policy;

namespace {

const std::string requester_text = "[[requester]]\nname = \"toolstack\"\ndomain = \"toolstack\"\n"
                                   "max_domains = 3\nmax_store_mib = 5\n";
const std::string rule_text = "[[rule]]\nname = \"look\"\neffect = \"allow\"\n"
                              "requesters = [\"toolstack\"]\nverbs = [\"list\"]\n";

std::string digest_of(const std::vector<PolicyFile>& files) {
  const auto load = Policy::load(files);
  REQUIRE(load.policy.has_value());
  return load.policy->digest();
}

} // namespace

TEST_CASE("policy: no file at all is an error that says so") {
  const auto load = Policy::load({});
  CHECK_FALSE(load.policy.has_value());
  REQUIRE(load.findings.size() == 1);
  CHECK(load.findings[0].text() ==
        "error: no *.toml files in the policy directory: nothing would be "
        "allowed; write at least one");
}

TEST_CASE("policy: declarations in one file serve the rules of another") {
  const auto load = Policy::load({{"a.toml", rule_text}, {"b.toml", requester_text}});
  CHECK(load.findings.empty());
  REQUIRE(load.policy.has_value());
  CHECK(load.policy->files().size() == 2);
}

TEST_CASE("policy: a name declared in two files is reported in the later one") {
  const auto load =
      Policy::load({{"a.toml", requester_text + rule_text}, {"b.toml", requester_text}});
  REQUIRE(load.findings.size() == 1);
  CHECK(load.findings[0].text() ==
        "b.toml:1:1: error: requester \"toolstack\" is already declared at "
        "a.toml:1:1: choose another name");
}

TEST_CASE("policy: findings stand in the order of the files, then of the lines") {
  const auto load = Policy::load({{"z.toml", "b = 1\na = 1\n"}, {"a.toml", "c = 1\n"}});
  REQUIRE(load.findings.size() == 3);
  CHECK(load.findings[0].where.text() == "z.toml:1:1");
  CHECK(load.findings[1].where.text() == "z.toml:2:1");
  CHECK(load.findings[2].where.text() == "a.toml:1:1");
}

TEST_CASE("policy: a policy with warnings alone is loaded") {
  const auto load = Policy::load(
      {{"a.toml", requester_text + rule_text + "[[requester]]\nname = \"idle\"\nuid = 7\n"}});
  REQUIRE(load.findings.size() == 1);
  CHECK(load.findings[0].severity == Finding::Severity::warning);
  CHECK(load.policy.has_value());
}

TEST_CASE("policy: too many files and a file that is too large are refused") {
  const std::vector<PolicyFile> many(max_policy_files + 1, PolicyFile{"a.toml", ""});
  CHECK_FALSE(Policy::load(many).policy.has_value());
  const std::string text = requester_text + rule_text;
  const std::string fill(max_policy_file_bytes - text.size(), '\n');
  CHECK(Policy::load({{"a.toml", text + fill}}).policy.has_value());
  const auto load = Policy::load({{"a.toml", text + fill + "\n"}});
  REQUIRE(load.findings.size() == 1);
  CHECK(load.findings[0].text() ==
        "a.toml: error: the file has 1048577 bytes, above the limit of 1048576: split it");
}

TEST_CASE("policy: the digest is the documented one") {
  // Recomputed outside: see docs/policy.md, over a file "p.toml" with this text.
  CHECK(digest_of({{"p.toml", requester_text + rule_text}}) ==
        "ec18b75eae9b74a7ff394787cded9be7922395da09bedc4bd6144cd2f4b06062");
}

TEST_CASE("policy: the digest covers names, texts and their borders") {
  const std::string whole = requester_text + rule_text;
  const std::string digest = digest_of({{"a.toml", whole}});
  CHECK(digest.size() == 64);
  CHECK(digest == digest_of({{"a.toml", whole}}));
  CHECK(digest != digest_of({{"b.toml", whole}}));
  CHECK(digest != digest_of({{"a.toml", whole + "\n"}}));
  CHECK(digest != digest_of({{"a.toml", requester_text}, {"b.toml", rule_text}}));
  CHECK(digest_of({{"a.toml", requester_text}, {"b.toml", rule_text}}) !=
        digest_of({{"a.toml", requester_text + "\n"}, {"b.toml", rule_text}}));
}

TEST_CASE("policy: a requester's quota is what its table says, and nothing for others") {
  const auto load = Policy::load({{"a.toml", requester_text + rule_text}});
  REQUIRE(load.policy.has_value());
  const Quota quota = load.policy->quota("toolstack");
  CHECK(quota.max_domains == 3);
  CHECK(quota.max_store_mib == 5);
  CHECK_FALSE(quota.max_vcpus.has_value());
  CHECK_FALSE(quota.max_memory_mib.has_value());
  CHECK_FALSE(load.policy->quota("nobody").max_domains.has_value());
}

TEST_CASE("policy: every verb's word is read back from a file") {
  for (unsigned i = 0; i < verb_count; ++i) {
    const Verb verb = static_cast<Verb>(i);
    const std::string tables = verb == Verb::create
                                   ? "[rule.guest]\nkernels = \"any\"\ninitrds = \"any\"\n"
                                     "command_lines = \"any\"\n"
                                   : "";
    const auto load =
        Policy::load({{"a.toml", requester_text +
                                     "[[rule]]\nname = \"r\"\neffect = \"allow\"\n"
                                     "requesters = \"any\"\nverbs = [\"" +
                                     std::string(to_string(verb)) + "\"]\n" + tables}});
    CHECK(load.findings.empty());
    REQUIRE(load.policy.has_value());
    for (unsigned j = 0; j < verb_count; ++j) {
      const Request request{.peer = DomainPeer{"toolstack", ""},
                            .verb = static_cast<Verb>(j),
                            .guest = GuestFacts{},
                            .upload = UploadFacts{},
                            .owner = {}};
      CHECK(load.policy->decide(request).allowed == (i == j));
    }
  }
}
