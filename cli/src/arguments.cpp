// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/arguments.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <sstream>
#include <string_view>

#include "ashlar/cli/arguments_evidence.hpp"
#include "ashlar/cli/arguments_fault.hpp"
#include "ashlar/cli/arguments_guest.hpp"
#include "ashlar/cli/arguments_policy.hpp"
#include "ashlar/cli/arguments_verb.hpp"
#include "ashlar/cli/problem.hpp"

namespace ashlar::cli {

namespace {

// A guest may have an empty command line, and an interface of defaults alone.
const std::vector<std::string> may_be_empty = {"--cmdline", "--nic"};

struct DomainVerb {
  Verb verb;
  const char* name;
  const char* description;
  const char* example;
};
constexpr std::array domain_verbs = {
    DomainVerb{Verb::info, "info", "Show all about one domain", "ashlar info web --json"},
    DomainVerb{Verb::destroy, "destroy", "Destroy a domain at once", "ashlar destroy web"},
    DomainVerb{Verb::pause, "pause", "Stop a domain's vCPUs", "ashlar pause web"},
    DomainVerb{Verb::unpause, "unpause", "Let a paused domain run", "ashlar unpause web"},
    DomainVerb{Verb::shutdown, "shutdown", "Ask the guest to power itself off",
               "ashlar shutdown web"},
    DomainVerb{Verb::reboot, "reboot", "Ask the guest to reboot", "ashlar reboot web"},
    DomainVerb{Verb::domid, "domid", "Print the number of a domain", "ashlar domid web"},
};

void add_domain(CLI::App* app, Arguments& into) {
  app->add_option("domain", into.domain, "name, domid or UUID")->required()->type_name("DOMAIN");
}

void add_create(CLI::App& app, Arguments& into, Texts& texts) {
  CLI::App* const create =
      add_verb(app, "create", "Have a domain built, measured and started",
               "ashlar create --name web --kernel vmlinuz --initrd initrd.img --memory 512\n"
               "         ashlar create web.cfg --paused");
  on_selected(create, into, Verb::create);
  create->add_option("file", into.guest_file, "an xl.cfg file; flags take precedence over it")
      ->type_name("FILE");
  add_create_guest(create, into.flags, texts,
                   "the kernel file, or sha256:DIGEST of one that the builder holds");
  add_signatures(create, into.flags);
  create->add_flag("--paused", into.paused, "leave the domain paused");
  create->add_flag("--dry-run", into.dry_run, "only ask whether the policy allows it");
}

// Without a default the options for the logs need --profile.
void add_profile(CLI::App* app, Arguments& into, const char* description, bool has_default) {
  CLI::Option* const profile = app->add_option("--profile", into.profile, description)
                                   ->check(one_of({"uapi", "grub", "pv-grub"}));
  CLI::Option* const log =
      app->add_option("-o,--output", into.log_file, "write the TCG event log to this file")
          ->type_name("LOG")
          ->check(no_standard_output());
  CLI::Option* const cel =
      app->add_option("--cel", into.cel_file, "write the canonical event log (JSON) to this file")
          ->type_name("FILE")
          ->check(no_standard_output());
  if (has_default)
    return;
  log->needs(profile);
  cel->needs(profile);
}

void add_measurement(CLI::App& app, Arguments& into) {
  CLI::App* const measurement =
      add_verb(app, "measurement",
               "Show a domain's measurement record: what was measured, with every digest",
               "ashlar measurement web --profile uapi");
  on_selected(measurement, into, Verb::measurement);
  add_domain(measurement, into);
  add_profile(measurement, into, "also the PCRs that the record means: uapi, grub, pv-grub", false);
}

void add_measure(CLI::App& app, Arguments& into, Texts& texts) {
  CLI::App* const measure = add_verb(
      app, "measure", "Predict a build's record and PCRs from its files, without a builder",
      "ashlar measure --name web --kernel vmlinuz --initrd initrd.img --cmdline quiet\n"
      "         ashlar measure web.cfg --profile grub -o web.log --json");
  measure->callback([&into] {
    into.verb = Verb::measure;
    if (into.profile.empty())
      into.profile = "uapi";
  });
  measure
      ->add_option("--config,file", into.guest_file,
                   "an xl.cfg file; flags take precedence over it")
      ->type_name("FILE");
  add_create_guest(measure, into.flags, texts, "the kernel file: its bytes are measured here");
  add_profile(measure, into, "which PCRs: uapi (default), grub or pv-grub", true);
  add_manifest_option(*measure, into);
  measure->add_option("--builder", into.builder_identity,
                      "predict the builder event, of a builder that says this of itself");
  measure
      ->add_option("--policy", into.policy_directory,
                   "predict the policy event, of a builder with this policy directory")
      ->type_name("DIR");
}

void add_console(CLI::App& app, Arguments& into) {
  CLI::App* const console =
      add_verb(app, "console", "Use a domain's console; Ctrl-] leaves it", "ashlar console web");
  on_selected(console, into, Verb::console);
  add_domain(console, into);
  console->add_option("--tail", into.tail_bytes, "print the last N bytes of its output and exit")
      ->type_name("N")
      ->check(whole_number(0, std::numeric_limits<std::uint32_t>::max()));
}

void add_upload(CLI::App& app, Arguments& into) {
  CLI::App* const upload =
      add_verb(app, "upload", "Send images ahead of the builds that will use them",
               "ashlar upload vmlinuz initrd.img");
  on_selected(upload, into, Verb::upload);
  upload->add_option("files", into.image_files, "kernel and initrd files")
      ->required()
      ->type_name("FILE");
}

void add_image(CLI::App& app, Arguments& into) {
  CLI::App* const image = add_verb(app, "image", "Look at an image file, without a builder",
                                   "ashlar image inspect vmlinuz");
  image->require_subcommand(1);
  CLI::App* const inspect =
      add_verb(*image, "inspect", "Say what a kernel image is, as the builder's inspector sees it",
               "ashlar image inspect vmlinuz --json");
  on_selected(inspect, into, Verb::image_inspect);
  inspect->add_option("file", into.image_file, "the kernel file, or with --signature any image")
      ->required()
      ->type_name("FILE");
  inspect
      ->add_option("--signature", into.image_signature,
                   "a detached CMS signature over it (DER or PEM): say whose it is")
      ->type_name("FILE");
}

void add_host(CLI::App& app, Arguments& into) {
  CLI::App* const host =
      add_verb(app, "host",
               "Show what the machine's TPM says of all records since boot, its keys "
               "and its PCRs",
               "ashlar host --export host-1");
  on_selected(host, into, Verb::host);
  host->add_option("--export", into.export_directory,
                   "write the keys and PCRs to files of this directory, to enrol the machine")
      ->type_name("DIR");
}

void add_verbs(CLI::App& app, Arguments& into, Texts& texts) {
  add_create(app, into, texts);
  CLI::App* const list = add_verb(app, "list", "List the domains you may see", "ashlar list -l");
  on_selected(list, into, Verb::list);
  list->add_flag("-l,--long", into.long_listing, "with UUID, requester and record serial");
  for (const DomainVerb& verb : domain_verbs) {
    CLI::App* const added = add_verb(app, verb.name, verb.description, verb.example);
    on_selected(added, into, verb.verb);
    add_domain(added, into);
  }
  add_measurement(app, into);
  add_measure(app, into, texts);
  add_evidence_verbs(app, into);
  add_console(app, into);
  on_selected(add_verb(app, "images", "List the images that the builder holds", "ashlar images"),
              into, Verb::images);
  add_upload(app, into);
  add_image(app, into);
  add_host(app, into);
  add_policy(app, into, texts);
  on_selected(add_verb(app, "version",
                       "Show both programs' versions and who you are to the builder",
                       "ashlar version"),
              into, Verb::version);
}

void add_globals(CLI::App& app, Arguments& into) {
  app.add_option("-H,--host", into.host, "the builder: unix:PATH or vchan:DOMID")
      ->type_name("ADDRESS")
      ->envname("ASHLAR_HOST");
  app.add_flag("--json", into.json, "print JSON, errors as well");
  app.add_option("--timeout", into.timeout_s,
                 "give up when the builder is silent for so long (1 to 86400, default 60)")
      ->type_name("SECONDS")
      ->check(whole_number(1, 86400));
  app.set_version_flag("--version", std::string("ashlar ") + ASHLAR_VERSION,
                       "print this program's version, without asking the builder");
  app.require_subcommand(1);
  app.footer("Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by the policy, 4 no "
             "connection.\nExample: ashlar create --name web --kernel vmlinuz --memory 512");
}

bool asks_for_json(int count, const char* const* arguments) {
  return std::ranges::any_of(std::span(arguments, static_cast<std::size_t>(count)),
                             [](const char* text) { return std::string_view(text) == "--json"; });
}

std::variant<Arguments, ExitRequest> usage_fault(const std::string& message, bool json) {
  Problem problem;
  problem.exit = ExitCode::usage;
  problem.code = to_string(ErrorCode::invalid);
  problem.message = message;
  const std::string text = json ? json_of(problem).dump() : text_of(problem);
  return ExitRequest{static_cast<int>(ExitCode::usage), text + "\n", json};
}

} // namespace

std::variant<Arguments, ExitRequest> parse_arguments(int count, const char* const* arguments) {
  Arguments result;
  Texts texts;
  CLI::App app("ashlar: have Xen domains built and measured by the builder", "ashlar");
  add_globals(app, result);
  add_verbs(app, result, texts);
  refuse_empty_values(app, may_be_empty);
  const bool json = asks_for_json(count, arguments);
  // CLI11 reports by exceptions, --help as well: they end here.
  try {
    app.parse(count, arguments);
  } catch (const CLI::Success& help) {
    std::ostringstream text;
    app.exit(help, text, text);
    return ExitRequest{0, text.str(), false};
  } catch (const CLI::ParseError& error) {
    return usage_fault(fault_text(app, error), json);
  }
  if (const Status read = read_texts(texts, result.flags); !read)
    return usage_fault(with_help(app, read.error().message()), json);
  return result;
}

} // namespace ashlar::cli
