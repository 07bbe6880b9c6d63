// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/arguments_evidence.hpp"

#include "ashlar/cli/arguments_fault.hpp"

#include <cstdint>

namespace ashlar::cli {

namespace {

constexpr std::uint32_t first_host_pcr = 8; // as the TPM Manager's --pcr
constexpr std::uint32_t last_host_pcr = 15;

void add_verify(CLI::App& app, Arguments& into) {
  CLI::App* const verify =
      app.add_subcommand("verify", "Check a guest's evidence link by link, without a builder");
  verify->footer("Exit codes: 0 every link holds, 1 one does not, 2 wrong usage.\n"
                 "Example: ashlar verify web.bundle --reference references.d --nonce $NONCE");
  verify->fallthrough();
  verify->callback([&into] { into.verb = Verb::verify; });
  VerifyArguments& options = into.verify;
  verify->add_option("bundle", options.bundle, "the bundle, as ashlar-attest wrote it")
      ->required()
      ->type_name("FILE");
  verify
      ->add_option("--reference", options.directory,
                   "the directory with host-ak.pem, signers.pem and the signed *.manifest")
      ->required()
      ->type_name("DIR");
  verify->add_option("--nonce", options.nonce, "the challenge that you sent: 64 hexadecimal digits")
      ->required()
      ->type_name("HEX");
  verify->add_option("--guest", options.guest, "only the reference NAME.manifest will do")
      ->type_name("NAME");
  verify
      ->add_option("--record", options.record,
                   "SHA-256 of the guest's record as you saw it before: a guest that was built "
                   "anew since is refused")
      ->type_name("HEX");
  verify->add_option("--host-pcr", options.host_pcr, "the TPM Manager's PCR (default 13)")
      ->check(whole_number(first_host_pcr, last_host_pcr))
      ->type_name("N");
}

void add_explain(CLI::App& app, Arguments& into) {
  CLI::App* const explain =
      app.add_subcommand("explain", "Name the first measured thing in which two files differ");
  explain->footer(
      "Each file is a prediction (ashlar measure --json), a record (ashlar measurement "
      "--json, or encoded), a reference manifest, a bundle, an event log (TCG, or "
      "canonical in JSON), or PCR values (tpm2_pcrread, sysfs).\n"
      "Exit codes: 0 the same, 1 they differ, 2 wrong usage, or a file cannot be read.\n"
      "Example: ashlar explain web.json web.log --known web-old.json");
  explain->fallthrough();
  explain->callback([&into] { into.verb = Verb::explain; });
  explain->add_option("A", into.explain.first, "one of them")->required()->type_name("FILE");
  explain->add_option("B", into.explain.second, "the other")->required()->type_name("FILE");
  explain
      ->add_option("--known", into.explain.known,
                   "a file of either kind whose kernels and initrds may turn up; may be repeated")
      ->allow_extra_args(false)
      ->type_name("FILE");
  explain
      ->add_option("--profile", into.explain.profile,
                   "the profile of a record that is compared with a log or PCRs")
      ->check(one_of({"uapi", "grub", "pv-grub"}));
}

} // namespace

void add_evidence_verbs(CLI::App& app, Arguments& into) {
  add_verify(app, into);
  add_explain(app, into);
}

void add_manifest_option(CLI::App& measure, Arguments& into) {
  measure
      .add_option("--manifest", into.manifest_file,
                  "write the reference manifest to this file, for ashlar verify; sign it with "
                  "openssl cms")
      ->type_name("FILE")
      ->check(no_standard_output());
}

} // namespace ashlar::cli
