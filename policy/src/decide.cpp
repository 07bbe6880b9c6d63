// SPDX-License-Identifier: LGPL-2.1-or-later
#include "decide.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ashlar/base/bytes.hpp"
#include "conditions.hpp"

namespace ashlar::policy {

namespace {

std::string describe(const Peer& peer) {
  if (const auto* domain = std::get_if<DomainPeer>(&peer))
    return fmt::format("domain \"{}\" (uuid {})", printable(domain->name, 63),
                       printable(domain->uuid, 36));
  if (const auto* process = std::get_if<ProcessPeer>(&peer))
    return fmt::format("a process with uid {} and gid {}", process->uid, process->gid);
  return "the boot manifest";
}

Decision denial(const Requester* requester, std::string reason) {
  return {.allowed = false,
          .unverified = false,
          .needs_kernel = false,
          .requester = requester == nullptr ? std::string() : requester->name,
          .rule = {},
          .where = {},
          .reason = std::move(reason),
          .vtpm_profile = {},
          .trace = {}};
}

/// The allow rule that came closest, for the reason of a denial.
class Nearest {
public:
  /// Rules for others never count: a denial must not tell what others may do.
  void offer(const Rule& rule, const Match& match) {
    if (!rule.allow || !match.for_requester || !match.for_verb)
      return;
    if (rule_ != nullptr && match.satisfied <= satisfied_)
      return;
    rule_ = &rule;
    satisfied_ = match.satisfied;
    failed_ = fmt::format("{}", fmt::join(match.failed, ", and "));
  }

  [[nodiscard]] std::string reason(const Requester& requester, Verb verb) const {
    if (rule_ == nullptr)
      return fmt::format(
          "no rule allows this: no allow rule for requester \"{}\" covers the verb {}",
          requester.name, to_string(verb));
    return shortened(
        fmt::format("no rule allows this: rule \"{}\" would, but {}", rule_->name, failed_));
  }

private:
  static std::string shortened(std::string reason) {
    if (reason.size() <= max_reason_bytes)
      return reason;
    return reason.substr(0, max_reason_bytes - 3) + "...";
  }

  const Rule* rule_ = nullptr;
  unsigned satisfied_ = 0;
  std::string failed_;
};

/// A rule for create or upload without the facts that it is about would match for want of
/// conditions.
bool facts_missing(const Request& request) {
  return (request.verb == Verb::create && !request.guest) ||
         (request.verb == Verb::upload && !request.upload);
}

std::string unverified(const Match& match) {
  return fmt::format("it depends on who has signed {}, and nobody has looked at its signatures",
                     match.unverified);
}

RuleTrace trace_of(const Rule& rule, const Match& match) {
  return {.rule = rule.name,
          .where = rule.where,
          .failed_condition = match.failed.empty() && !match.unverified.empty()
                                  ? unverified(match)
                                  : fmt::format("{}", fmt::join(match.failed, ", and "))};
}

/// An image that the policy takes back, whatever its rules say.
struct RevokedImage {
  const Revoked* entry = nullptr;
  std::string what; // "the kernel with the sha256", "initrd 2 with the sha256"
};

/// For what the builder starts itself nothing is looked for inside, and what a look for somebody
/// else has found there must not decide: the answer would change with that.
bool looks_inside(const Peer& peer) {
  return !std::holds_alternative<BootManifestPeer>(peer);
}

RevokedImage revoked_kernel(const Model& model, const Peer& peer, const ImageFacts& kernel) {
  if (const Revoked* entry = model.revoked_image(kernel.digests.sha256))
    return {entry, "the kernel with the sha256"};
  if (kernel.authenticode && looks_inside(peer))
    return {model.revoked_kernel(*kernel.authenticode), "the kernel with the Authenticode sha256"};
  return {};
}

RevokedImage revoked_image(const Model& model, const Request& request) {
  if (request.upload)
    return {model.revoked_image(request.upload->sha256), "the image with the sha256"};
  if (!request.guest)
    return {};
  RevokedImage kernel = revoked_kernel(model, request.peer, request.guest->kernel);
  if (kernel.entry != nullptr)
    return kernel;
  for (std::size_t i = 0; i < request.guest->initrds.size(); ++i)
    if (const Revoked* entry = model.revoked_image(request.guest->initrds[i].digests.sha256))
      return {entry, fmt::format("initrd {} with the sha256", i + 1)};
  return {};
}

Decision revocation(const Requester& requester, const RevokedImage& image) {
  Decision decision =
      denial(&requester,
             fmt::format("the policy revokes {} {}{}{}", image.what, to_hex(image.entry->sha256),
                         image.entry->reason.empty() ? "" : ": ", image.entry->reason));
  decision.where = image.entry->where;
  return decision;
}

/// The kernel may be one that is revoked by a digest that nobody has looked for yet.
bool revocation_open(const Model& model, const Request& request) {
  return request.guest && !model.revoked_authenticode.empty() &&
         !request.guest->kernel.looked_inside && looks_inside(request.peer);
}

/// Of an answer that is open at the rule at `position`: may what is inside the kernel still change
/// it?
bool needs_kernel(const Model& model, std::size_t position, const std::string& requester,
                  const Request& request) {
  for (std::size_t i = position; i < model.rules.size(); ++i) {
    const Match match = evaluate(model, model.rules[i], requester, request);
    if (!match.failed.empty())
      continue;
    if (match.kernel_open || (model.rules[i].allow && revocation_open(model, request)))
      return true;
    if (match.unverified.empty())
      return false;
  }
  return false;
}

/// `decision` as `rule`, of which nothing failed, leaves it.
void leave_open(Decision& decision, const Rule& rule, std::string_view why) {
  decision.unverified = true;
  decision.where = rule.where;
  decision.reason =
      fmt::format("this is not decided: rule \"{}\" comes first, and {}", rule.name, why);
}

void decide_by(Decision& decision, const Rule& rule, const Request& request) {
  decision.allowed = rule.allow;
  decision.rule = rule.name;
  decision.where = rule.where;
  if (rule.allow && rule.guest && request.guest &&
      request.guest->configuration.vtpm != measure::Vtpm::none)
    decision.vtpm_profile = rule.guest->vtpm_profile;
  decision.reason = fmt::format("rule \"{}\" {} this", rule.name, rule.allow ? "allows" : "denies");
}

/// The first rule that matches, or that may once more is known.
Decision decide_by_rules(const Model& model, const Requester& requester, const Request& request) {
  Decision decision = denial(&requester, {});
  Nearest nearest;
  for (std::size_t i = 0; i < model.rules.size(); ++i) {
    const Rule& rule = model.rules[i];
    const Match match = evaluate(model, rule, requester.name, request);
    decision.trace.push_back(trace_of(rule, match));
    if (!match.failed.empty()) {
      nearest.offer(rule, match);
      continue;
    }
    if (!match.unverified.empty())
      leave_open(decision, rule, unverified(match));
    else if (rule.allow && revocation_open(model, request))
      leave_open(decision, rule,
                 "the policy revokes kernels by Authenticode digests, and nobody "
                 "has looked for this kernel's");
    else
      decide_by(decision, rule, request);
    decision.needs_kernel = decision.unverified && needs_kernel(model, i, requester.name, request);
    return decision;
  }
  decision.reason = nearest.reason(requester, request.verb);
  return decision;
}

} // namespace

Decision decide(const Model& model, const Request& request) {
  const Requester* requester = model.requester_of(request.peer);
  if (requester == nullptr)
    return denial(nullptr,
                  fmt::format("the policy has no requester for {}", describe(request.peer)));
  if (request.owner && !may_see(model, requester->name, *request.owner))
    return denial(requester, std::string(no_such_domain));
  if (facts_missing(request))
    return denial(requester,
                  fmt::format("the request to {} does not say what", to_string(request.verb)));
  if (const RevokedImage revoked = revoked_image(model, request); revoked.entry != nullptr)
    return revocation(*requester, revoked);
  return decide_by_rules(model, *requester, request);
}

bool may_see(const Model& model, std::string_view requester, std::string_view owner) {
  if (requester == owner)
    return true;
  const Requester* found = model.requester(requester);
  return found != nullptr && found->sees_all;
}

} // namespace ashlar::policy
