// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/arguments_policy.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ashlar/cli/arguments_fault.hpp"
#include "ashlar/cli/arguments_verb.hpp"
#include "ashlar/policy/request.hpp"

namespace ashlar::cli {

namespace {

CLI::App* add_policy_verb(CLI::App& policy, Arguments& into, Verb verb, const char* name,
                          const char* description, const char* example) {
  CLI::App* const added = add_verb(policy, name, description, example);
  on_selected(added, into, verb);
  added->add_option("directory", into.directory, "the directory of *.toml files")
      ->required()
      ->type_name("DIR");
  return added;
}

std::vector<std::string> policy_verbs() {
  std::vector<std::string> words;
  words.reserve(policy::verb_count);
  for (std::size_t i = 0; i < policy::verb_count; ++i)
    words.emplace_back(policy::to_string(static_cast<policy::Verb>(i)));
  return words;
}

void add_question(CLI::App* app, Arguments& into, Texts& texts) {
  app->add_option("--as", into.question.requester, "who asks: a requester of the policy")
      ->required()
      ->type_name("REQUESTER");
  app->add_option("--request", into.guest_file,
                  "the guest as an xl.cfg file, or as a reference manifest (ashlar measure "
                  "--manifest); flags take precedence")
      ->type_name("FILE");
  app->add_option("--verb", into.question.verb, "what is asked for (default create)")
      ->check(one_of(policy_verbs()));
  app->add_option("--owner", into.question.owner,
                  "whose domain it is about (default: the requester's own)")
      ->type_name("REQUESTER");
  app->add_option("--image", into.question.image, "upload: the file, or sha256:DIGEST")
      ->type_name("FILE");
  app->add_option("--size", into.question.size_bytes, "upload: bytes of an image given by digest")
      ->type_name("BYTES")
      ->check(whole_number(0, std::numeric_limits<std::uint64_t>::max()));
  add_create_guest(app, into.flags, texts, "the kernel file, or sha256:DIGEST");
  add_signatures(app, into.flags);
}

// What is done with policy files alone: no builder is asked.
void add_policy_files(CLI::App& policy, Arguments& into, Texts& texts) {
  CLI::App* const check =
      add_policy_verb(policy, into, Verb::policy_check, "check", "Find mistakes in policy files",
                      "ashlar policy check /etc/ashlar/policy.d");
  check->add_flag("--strict", into.strict, "fail on warnings, too");
  CLI::App* const explain = add_policy_verb(
      policy, into, Verb::policy_explain, "explain", "Say rule by rule what policy files decide",
      "ashlar policy explain policy.d --as toolstack --request web.cfg\n         "
      "ashlar policy explain policy.d --as red --name r1 --kernel sha256:5d1f…\n         "
      "ashlar policy explain policy.d --as red --verb destroy --owner blue");
  add_question(explain, into, texts);
  add_policy_verb(policy, into, Verb::policy_test, "test",
                  "Run the *.cases.toml beside policy files", "ashlar policy test policy.d");
  add_policy_verb(policy, into, Verb::policy_hash, "hash",
                  "Print the digest of policy files, as in measurement records",
                  "ashlar policy hash /etc/ashlar/policy.d");
}

void add_policy_sign(CLI::App& policy, Arguments& into) {
  CLI::App* const sign =
      add_verb(policy, "sign", "Sign a release manifest, or an image, for policy files",
               "ashlar policy sign release.toml --key k.pem --certificate c.pem --toml\n         "
               "ashlar policy sign initrd.img --detached --key k.pem --certificate c.pem");
  on_selected(sign, into, Verb::policy_sign);
  sign->add_option("file", into.signing.file, "the manifest, or with --detached the image")
      ->required()
      ->type_name("FILE");
  sign->add_option(
          "--key", into.signing.key,
          "the private key (RSA from 2048 bits, or ECDSA), as a PEM file without passphrase")
      ->required()
      ->type_name("FILE");
  sign->add_option("--certificate", into.signing.certificate, "its certificate, as a PEM file")
      ->required()
      ->type_name("FILE");
  CLI::Option* const detached = sign->add_flag("--detached", into.signing.detached,
                                               "sign an image: print the signature alone");
  sign->add_flag("--toml", into.signing.toml, "print a [[manifest]] for a policy file")
      ->excludes(detached);
}

} // namespace

void add_policy(CLI::App& app, Arguments& into, Texts& texts) {
  CLI::App* const policy =
      add_verb(app, "policy", "The builder's policy, and tools for policy files",
               "ashlar policy check /etc/ashlar/policy.d");
  policy->require_subcommand(1);
  on_selected(add_verb(*policy, "show", "Print the policy in force", "ashlar policy show"), into,
              Verb::policy_show);
  on_selected(add_verb(*policy, "reload", "Read the policy files again", "ashlar policy reload"),
              into, Verb::policy_reload);
  add_policy_files(*policy, into, texts);
  add_policy_sign(*policy, into);
}

} // namespace ashlar::cli
