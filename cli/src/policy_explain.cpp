// SPDX-License-Identifier: LGPL-2.1-or-later
// `ashlar policy explain`.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/format.hpp"
#include "ashlar/cli/image_file.hpp"
#include "ashlar/cli/inspector_process.hpp"
#include "ashlar/cli/manifest_guest.hpp"
#include "ashlar/cli/policy_files.hpp"
#include "ashlar/cli/signature_file.hpp"
#include "ashlar/inspector/limits.hpp"
#include "ashlar/request/configuration.hpp"

namespace ashlar::cli {

namespace {

std::unexpected<Problem> wrong_usage(std::string doing, std::string why) {
  return std::unexpected(Problem::usage({ErrorCode::invalid, std::move(doing), std::move(why), 0}));
}

// What is known of an image: all of a file, or the digest alone.
Outcome<policy::ImageFacts> image_facts(const std::string& text) {
  const Result<ImageFile> image = find_image(text, Hashing::all_banks);
  if (!image)
    return std::unexpected(image.error().code == ErrorCode::invalid ? Problem::usage(image.error())
                                                                    : Problem(image.error()));
  return policy::ImageFacts{image->path, image->size, image->digests, !image->fd};
}

Outcome<measure::DomainConfiguration> configuration_of(const Guest& guest) {
  const Result<ashlar_v1_Create> create = create_request(guest);
  if (!create)
    return std::unexpected(Problem::usage(create.error()));
  const auto configuration = request::configuration_of(*create);
  if (!configuration)
    return std::unexpected(Problem::usage(configuration.error()));
  if (const Status valid = measure::validate(*configuration); !valid)
    return std::unexpected(Problem::usage(valid.error()));
  return *configuration;
}

// By flags, an xl.cfg file, or a reference manifest.
Outcome<Guest> asked_guest(const Arguments& arguments) {
  if (arguments.guest_file.empty() || !holds_manifest(arguments.guest_file))
    return guest_of(arguments);
  const Result<Guest> guest = read_manifest_guest(arguments.guest_file);
  if (!guest)
    return std::unexpected(Problem::usage(guest.error()));
  return overlay(*guest, arguments.flags);
}

Outcome<policy::GuestFacts> guest_facts(const Arguments& arguments) {
  const Guest guest = TRY(asked_guest(arguments));
  policy::GuestFacts facts;
  facts.configuration = TRY(configuration_of(guest));
  facts.command_line = guest.command_line.value_or("");
  facts.kernel = TRY(image_facts(*guest.kernel));
  for (const std::string& initrd : guest.initrds)
    facts.initrds.push_back(TRY(image_facts(initrd)));
  return facts;
}

/// The question's images with a signature, and those signatures.
struct Brought {
  std::vector<policy::ImageFacts*> images;
  std::vector<inspector::BroughtSignature> signatures;

  void add(policy::ImageFacts& image, const std::vector<std::byte>& signature) {
    image.all_signers_known = false;
    images.push_back(&image);
    signatures.push_back({.sha256 = image.digests.sha256, .message = signature});
  }
};

Outcome<Brought> brought_signatures(const Arguments& arguments, policy::GuestFacts& facts) {
  const Result<GuestSignatures> given = read_signatures(TRY(asked_guest(arguments)));
  if (!given)
    return std::unexpected(given.error().code == ErrorCode::invalid ? Problem::usage(given.error())
                                                                    : Problem(given.error()));
  Brought brought;
  if (!given->kernel.empty())
    brought.add(facts.kernel, given->kernel);
  for (std::size_t i = 0; i < facts.initrds.size(); ++i) {
    facts.initrds[i].all_signers_known = true; // it has none inside
    if (i < given->initrds.size() && !given->initrds[i].empty())
      brought.add(facts.initrds[i], given->initrds[i]);
  }
  return brought;
}

/// As in a builder, one that is wrong or by a stranger is refused.
Status verify_brought(const policy::Policy& policy, Brought& brought,
                      const policy::ImageFacts& kernel) {
  if (brought.images.empty())
    return {};
  const policy::Signers signers = policy.signers();
  const std::string verifier = TRY(find_verifier());
  const auto report =
      TRY(run_verifier(verifier, nullptr, {signers.anchors, false, std::move(brought.signatures)}));
  for (std::size_t i = 0; i < brought.images.size(); ++i) {
    policy::ImageFacts& image = *brought.images[i];
    const std::string what = "the signature of " + printable(image.label);
    if (!report.brought[i])
      return failure(report.brought[i].error().code, "verifying " + what,
                     report.brought[i].error().why);
    TRY(signature::require_trusted(*report.brought[i], what));
    image.signers = signers.trusting(report.brought[i]->trust);
    image.all_signers_known = &image != &kernel; // a kernel may have more inside
  }
  return {};
}

/// Adds who has signed a kernel inside, and its Authenticode digest; nobody can know that of one
/// that is not at hand.
Status look_inside(const policy::Policy& policy, policy::ImageFacts& kernel) {
  if (kernel.claimed)
    return {};
  const policy::Signers signers = policy.signers();
  const ImageFile image = TRY(sealed_copy(kernel.label, inspector::max_image_bytes));
  const std::string verifier = TRY(find_verifier());
  const auto report = TRY(run_verifier(verifier, &image, {signers.anchors, true, {}}));
  if (report.inside) {
    for (std::string& name : signers.trusting(report.inside->trust))
      kernel.signers.push_back(std::move(name));
    kernel.authenticode = report.inside->digest;
  }
  kernel.all_signers_known = true;
  kernel.looked_inside = true;
  return {};
}

/// As a builder decides: signatures are looked at where a rule asks for them, and those that come
/// with the request before it is allowed.
Outcome<policy::Decision> decision_of(const policy::Policy& policy, const Arguments& arguments,
                                      policy::Request& request) {
  if (!request.guest)
    return policy.decide(request);
  Brought brought = TRY(brought_signatures(arguments, *request.guest));
  policy::Decision decision = policy.decide(request);
  if (!decision.allowed && !decision.unverified)
    return decision;
  TRY(verify_brought(policy, brought, request.guest->kernel));
  decision = policy.decide(request);
  if (!decision.unverified)
    return decision;
  TRY(look_inside(policy, request.guest->kernel));
  return policy.decide(request);
}

Outcome<policy::UploadFacts> upload_facts(const Question& question) {
  if (question.image.empty())
    return wrong_usage("explaining an upload", "say which image with --image");
  const policy::ImageFacts image = TRY(image_facts(question.image));
  if (image.claimed && !question.size_bytes)
    return wrong_usage("explaining an upload of " + question.image,
                       "say how large it is with --size");
  return policy::UploadFacts{question.size_bytes.value_or(image.size), image.digests.sha256};
}

// One of them: the command line was checked.
policy::Verb verb_from_text(const std::string& text) {
  std::size_t i = 0;
  while (i + 1 < policy::verb_count && text != policy::to_string(static_cast<policy::Verb>(i)))
    ++i;
  return static_cast<policy::Verb>(i);
}

/// What the verb has no use for must not look as if it had been looked at.
Outcome<void> require_used(const Arguments& arguments, policy::Verb verb) {
  const Question& question = arguments.question;
  const std::string doing = fmt::format("explaining {}", policy::to_string(verb));
  if (verb != policy::Verb::create && (!arguments.guest_file.empty() || arguments.flags != Guest{}))
    return wrong_usage(doing, "only create is about a guest: leave --request and the guest's flags "
                              "out");
  if (verb != policy::Verb::upload && (!question.image.empty() || question.size_bytes))
    return wrong_usage(doing, "only upload is about an image: leave --image and --size out");
  return {};
}

Outcome<policy::Peer> peer_of(const policy::Policy& policy, const std::string& requester) {
  if (const auto peer = policy.peer_of(requester))
    return *peer;
  return wrong_usage(
      "looking for the requester \"" + printable(requester) + "\"",
      fmt::format("the policy has: {}", fmt::join(policy.declared().requesters, ", ")));
}

Outcome<policy::Request> request_of(const policy::Policy& policy, const Arguments& arguments) {
  const Question& question = arguments.question;
  policy::Request request;
  request.peer = TRY(peer_of(policy, question.requester));
  request.verb = verb_from_text(question.verb);
  TRY(require_used(arguments, request.verb));
  if (request.verb == policy::Verb::create)
    request.guest = TRY(guest_facts(arguments));
  if (request.verb == policy::Verb::upload)
    request.upload = TRY(upload_facts(question));
  if (question.owner.empty())
    return request;
  static_cast<void>(TRY(peer_of(policy, question.owner)));
  request.owner = question.owner;
  return request;
}

/// `all`: nobody else has signed it, which is worth a line as well.
std::string signers_text(const char* what, const policy::ImageFacts& image, bool all) {
  if (image.signers.empty())
    return all ? fmt::format("{} signed by: no certificate of the policy\n", what) : "";
  return fmt::format("{} signed by: {}\n", what, fmt::join(image.signers, ", "));
}

std::string facts_text(const policy::Request& request) {
  if (request.upload)
    return fmt::format("image {}, {} bytes\n", to_hex(request.upload->sha256),
                       request.upload->size);
  if (!request.guest)
    return {};
  const policy::GuestFacts& guest = *request.guest;
  std::string text = fmt::format("kernel {} ({})\n", to_hex(guest.kernel.digests.sha256),
                                 printable(guest.kernel.label));
  text += signers_text("kernel", guest.kernel, guest.kernel.all_signers_known);
  if (guest.kernel.authenticode)
    text += fmt::format("kernel authenticode sha256: {}\n", to_hex(*guest.kernel.authenticode));
  for (const policy::ImageFacts& initrd : guest.initrds) {
    text += fmt::format("initrd {} ({})\n", to_hex(initrd.digests.sha256), printable(initrd.label));
    text += signers_text("initrd", initrd, false);
  }
  return text;
}

/// Only what is inside a kernel can be left: signatures that are given are verified.
constexpr std::string_view missing_fact =
    "the kernel's bytes are missing here, and with them its signatures and its Authenticode "
    "digest: give its file with --kernel in place of its digest";

/// A decision and what is needed to show it.
struct Explanation {
  const Arguments& arguments;
  const policy::Request& request;
  const policy::Decision& decision;
  std::size_t not_reached = 0; // rules after the one that decided
};

std::string text_of(const Explanation& one) {
  const policy::Decision& decision = one.decision;
  std::string text = fmt::format("{} asked by requester \"{}\"\n",
                                 policy::to_string(one.request.verb), decision.requester) +
                     facts_text(one.request);
  for (const policy::RuleTrace& rule : decision.trace)
    text += fmt::format(
        "{}: rule \"{}\": {}\n", located(rule.where, one.arguments.directory).text(), rule.rule,
        rule.failed_condition.empty() ? "matches" : "no match: " + rule.failed_condition);
  if (one.not_reached > 0)
    text += counted(one.not_reached, "rule") + " not reached\n";
  if (decision.unverified)
    return text + fmt::format("not decided: {}; {}\n", decision.reason, missing_fact);
  return text + fmt::format("{}; the requester is told: {}\n",
                            decision.allowed ? "allowed" : "refused", decision.reason);
}

nlohmann::ordered_json json_of(const Explanation& one) {
  nlohmann::ordered_json rules = nlohmann::ordered_json::array();
  for (const policy::RuleTrace& rule : one.decision.trace)
    rules.push_back({{"rule", rule.rule},
                     {"file", located(rule.where, one.arguments.directory).file},
                     {"line", rule.where.line},
                     {"column", rule.where.column},
                     {"matches", rule.failed_condition.empty()},
                     {"failed", rule.failed_condition}});
  return {{"requester", one.decision.requester},
          {"verb", policy::to_string(one.request.verb)},
          {"rules", rules},
          {"not_reached", one.not_reached},
          {"decided", !one.decision.unverified},
          {"allowed", one.decision.allowed},
          {"rule", one.decision.rule},
          {"reason", one.decision.reason}};
}

} // namespace

Outcome<Answer> policy_explain(const Arguments& arguments) {
  const policy::Policy policy = TRY(load_policy(arguments.directory));
  policy::Request request = TRY(request_of(policy, arguments));
  const policy::Decision decision = TRY(decision_of(policy, arguments, request));
  const Explanation one{arguments, request, decision,
                        policy.declared().rules.size() - decision.trace.size()};
  return Answer(arguments.json ? json_text(json_of(one)) + "\n" : text_of(one),
                decision.allowed      ? ExitCode::ok
                : decision.unverified ? ExitCode::failed
                                      : ExitCode::refused);
}

} // namespace ashlar::cli
