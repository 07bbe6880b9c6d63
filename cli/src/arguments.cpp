// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/arguments.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <span>
#include <sstream>
#include <string_view>

#include "ashlar/cli/arguments_evidence.hpp"
#include "ashlar/cli/device_specification.hpp"
#include "ashlar/cli/problem.hpp"

namespace ashlar::cli {

namespace {

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

void add_signatures(CLI::App* app, Guest& guest) {
  app->add_option("--kernel-signature", guest.kernel_signature,
                  "a detached CMS signature over the kernel (DER or PEM)")
      ->type_name("FILE");
  app->add_option("--initrd-signature", guest.initrd_signatures,
                  "likewise, one for each initrd in their order, or none in its place")
      ->type_name("FILE")
      ->allow_extra_args(false);
}

// The texts behind options whose values need a second look.
struct Texts {
  std::string memory;
  std::string max_memory;
  std::vector<std::string> disks;
  std::vector<std::string> nics;
};

CLI::App* add_verb(CLI::App& parent, const char* name, const char* description,
                   const char* example) {
  CLI::App* const verb = parent.add_subcommand(name, description);
  verb->footer(std::string("Example: ") + example);
  verb->fallthrough(); // --json and the like may stand behind the verb
  return verb;
}

void on_selected(CLI::App* app, Arguments& into, Verb verb) {
  app->callback([&into, verb] { into.verb = verb; });
}

void add_domain(CLI::App* app, Arguments& into) {
  app->add_option("domain", into.domain, "name, domid or UUID")->required();
}

void add_devices(CLI::App* app, Texts& texts) {
  app->add_option("--disk", texts.disks,
                  "a disk, as in an xl.cfg file: phy:/dev/vg0/web,xvda,w,backend=storage; may be "
                  "repeated")
      ->type_name("SPEC")
      ->allow_extra_args(false);
  app->add_option("--nic", texts.nics,
                  "a network interface, likewise: bridge=xenbr0,backend=net,mac=00:16:3e:01:02:03")
      ->type_name("SPEC")
      ->allow_extra_args(false);
}

void add_create_guest(CLI::App* app, Guest& guest, Texts& texts) {
  app->add_option("--name", guest.name, "the guest's name");
  app->add_option("--uuid", guest.uuid, "its UUID; without, the builder makes one");
  app->add_option("--type", guest.type, "pv or pvh (default pvh)")
      ->check(CLI::IsMember({"pv", "pvh"}));
  app->add_option("--kernel", guest.kernel,
                  "the kernel file, or sha256:DIGEST of one that the builder holds");
  app->add_option("--initrd", guest.initrds, "an initrd, likewise; may be repeated, in load order")
      ->allow_extra_args(false);
  app->add_option("--cmdline", guest.command_line, "the kernel's command line");
  app->add_option("--vcpus", guest.vcpus, "number of vCPUs (default 1)");
  app->add_option("--memory", texts.memory, "MiB, or with a unit: 512M, 4G (default 256)");
  app->add_option("--maxmem", texts.max_memory, "the balloon's ceiling (default: as --memory)");
  const auto actions = CLI::IsMember({"destroy", "restart", "preserve"});
  app->add_option("--on-poweroff", guest.on_poweroff, "when it powers off (default destroy)")
      ->check(actions);
  app->add_option("--on-reboot", guest.on_reboot, "when it reboots (default restart)")
      ->check(actions);
  app->add_option("--on-crash", guest.on_crash, "when it crashes (default destroy)")
      ->check(actions);
  app->add_option("--vtpm", guest.vtpm, "the TPM that it sees: none (default), 1.2 or 2.0")
      ->check(CLI::IsMember({"none", "1.2", "2.0"}));
  app->add_option("--xsm-label", guest.xsm_label,
                  "its label, for a Xen with XSM: system_u:system_r:domU_t (default none)");
  add_devices(app, texts);
}

void add_create(CLI::App& app, Arguments& into, Texts& texts) {
  CLI::App* const create =
      add_verb(app, "create", "Have a domain built, measured and started",
               "ashlar create --name web --kernel vmlinuz --initrd initrd.img --memory 512\n"
               "         ashlar create web.cfg --paused");
  on_selected(create, into, Verb::create);
  create->add_option("file", into.guest_file, "an xl.cfg file; flags take precedence over it");
  add_create_guest(create, into.flags, texts);
  add_signatures(create, into.flags);
  create->add_flag("--paused", into.paused, "leave the domain paused");
  create->add_flag("--dry-run", into.dry_run, "only ask whether the policy allows it");
}

// Without a default the options for the logs need --profile.
void add_profile(CLI::App* app, Arguments& into, const char* description, bool has_default) {
  CLI::Option* const profile = app->add_option("--profile", into.profile, description)
                                   ->check(CLI::IsMember({"uapi", "grub", "pv-grub"}));
  CLI::Option* const log =
      app->add_option("-o,--output", into.log_file, "write the TCG event log to this file")
          ->type_name("LOG");
  CLI::Option* const cel =
      app->add_option("--cel", into.cel_file, "write the canonical event log (JSON) to this file")
          ->type_name("FILE");
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
  measure->add_option("--config,file", into.guest_file,
                      "an xl.cfg file; flags take precedence over it");
  add_create_guest(measure, into.flags, texts);
  add_profile(measure, into, "which PCRs: uapi (default), grub or pv-grub", true);
  add_manifest_option(*measure, into);
  measure->add_option("--builder", into.builder_identity,
                      "predict the builder event, of a builder that says this of itself");
  measure->add_option("--policy", into.policy_directory,
                      "predict the policy event, of a builder with this policy directory");
}

void add_console(CLI::App& app, Arguments& into) {
  CLI::App* const console =
      add_verb(app, "console", "Use a domain's console; Ctrl-] leaves it", "ashlar console web");
  on_selected(console, into, Verb::console);
  add_domain(console, into);
  console->add_option("--tail", into.tail_bytes, "print the last N bytes of its output and exit")
      ->type_name("N");
}

CLI::App* add_policy_verb(CLI::App& policy, Arguments& into, Verb verb, const char* name,
                          const char* description, const char* example) {
  CLI::App* const added = add_verb(policy, name, description, example);
  on_selected(added, into, verb);
  added->add_option("directory", into.directory, "the directory of *.toml files")->required();
  return added;
}

void add_question(CLI::App* app, Arguments& into, Texts& texts) {
  app->add_option("--as", into.question.requester, "who asks: a requester of the policy")
      ->required();
  app->add_option("--request", into.guest_file,
                  "the guest as an xl.cfg file, or as a reference manifest (ashlar measure "
                  "--manifest); flags take precedence");
  app->add_option("--verb", into.question.verb, "what is asked for (default create)");
  app->add_option("--owner", into.question.owner,
                  "whose domain it is about (default: the requester's own)");
  app->add_option("--image", into.question.image, "upload: the file, or sha256:DIGEST");
  app->add_option("--size", into.question.size_bytes, "upload: bytes of an image given by digest")
      ->type_name("BYTES");
  add_create_guest(app, into.flags, texts);
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
      ->required();
  sign->add_option("--key", into.signing.key, "the private key, as a PEM file without passphrase")
      ->required();
  sign->add_option("--certificate", into.signing.certificate, "its certificate, as a PEM file")
      ->required();
  CLI::Option* const detached = sign->add_flag("--detached", into.signing.detached,
                                               "sign an image: print the signature alone");
  sign->add_flag("--toml", into.signing.toml, "print a [[manifest]] for a policy file")
      ->excludes(detached);
}

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

void add_upload(CLI::App& app, Arguments& into) {
  CLI::App* const upload =
      add_verb(app, "upload", "Send images ahead of the builds that will use them",
               "ashlar upload vmlinuz initrd.img");
  on_selected(upload, into, Verb::upload);
  upload->add_option("files", into.image_files, "kernel and initrd files")->required();
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
      ->required();
  inspect->add_option("--signature", into.image_signature,
                      "a detached CMS signature over it (DER or PEM): say whose it is");
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
      ->envname("ASHLAR_HOST");
  app.add_flag("--json", into.json, "print JSON, errors as well");
  app.add_option("--timeout", into.timeout_s, "give up when the builder is silent for so long")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 86400));
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
  problem.message = message + "; see ashlar --help";
  const std::string text = json ? json_of(problem).dump() : text_of(problem);
  return ExitRequest{static_cast<int>(ExitCode::usage), text + "\n", json};
}

Status read_texts(const Texts& texts, Guest& guest) {
  if (!texts.memory.empty())
    guest.memory_kib = TRY(memory_from_text(texts.memory));
  if (!texts.max_memory.empty())
    guest.max_memory_kib = TRY(memory_from_text(texts.max_memory));
  guest.disks = TRY(read_disks(texts.disks, "reading --disk"));
  guest.nics = TRY(read_nics(texts.nics, "reading --nic"));
  return {};
}

} // namespace

std::variant<Arguments, ExitRequest> parse_arguments(int count, const char* const* arguments) {
  Arguments result;
  Texts texts;
  CLI::App app("ashlar: have Xen domains built and measured by the builder", "ashlar");
  add_globals(app, result);
  add_verbs(app, result, texts);
  const bool json = asks_for_json(count, arguments);
  // CLI11 reports by exceptions, --help as well: they end here.
  try {
    app.parse(count, arguments);
  } catch (const CLI::Success& help) {
    std::ostringstream text;
    app.exit(help, text, text);
    return ExitRequest{0, text.str(), false};
  } catch (const CLI::ParseError& error) {
    return usage_fault(error.what(), json);
  }
  if (const Status read = read_texts(texts, result.flags); !read)
    return usage_fault(read.error().message(), json);
  return result;
}

} // namespace ashlar::cli
