// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/admission.hpp"

#include <sys/random.h>

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/broker/limits.hpp"
#include "ashlar/constructor/plan.hpp"

namespace ashlar::broker {

namespace {

/// An initrd has no signature inside: what came with the request is all that there is.
policy::ImageFacts initrd_facts(const UsedImage& image, const policy::Policy& policy) {
  policy::ImageFacts facts{image.label, image.size, image.digests, image.image == nullptr};
  facts.all_signers_known = !image.unverified(policy.digest());
  if (facts.all_signers_known && image.brought)
    facts.signers = image.brought->names;
  return facts;
}

policy::ImageFacts kernel_facts(const UsedImage& image, const policy::Policy& policy) {
  policy::ImageFacts facts = initrd_facts(image, policy);
  const bool signers_known =
      image.image && image.image->signers && image.image->signers->policy_digest == policy.digest();
  facts.all_signers_known = facts.all_signers_known && signers_known;
  if (image.image) {
    facts.looked_inside = image.image->looked_inside;
    facts.authenticode = image.image->authenticode;
  }
  if (signers_known)
    facts.signers.insert(facts.signers.end(), image.image->signers->names.begin(),
                         image.image->signers->names.end());
  return facts;
}

Status check_image(const UsedImage& image, const std::string& what, std::uint64_t limit) {
  if (image.size == 0)
    return failure(ErrorCode::invalid, "checking " + what, "it is empty");
  if (image.size > limit)
    return limit_failure("checking " + what, fmt::format("it has {} bytes", image.size),
                         fmt::format("{} bytes", limit));
  return {};
}

struct Held {
  std::uint32_t domains = 0;
  std::uint64_t vcpus = 0;
  std::uint64_t memory_mib = 0;
};

Held held_by(const Services& services, const std::string& requester) {
  Held held;
  const auto count = [&](const Domain& domain) {
    if (domain.record.requester != requester)
      return;
    ++held.domains;
    held.vcpus += domain.configuration.vcpus;
    held.memory_mib += domain.configuration.max_memory_kib >> 10;
  };
  for (const auto& [domid, domain] : services.domains.all())
    count(domain);
  for (const Domain* draft : services.builds.drafts())
    count(*draft);
  return held;
}

Status check_quota(const policy::Quota& quota, const Held& held,
                   const measure::DomainConfiguration& wanted) {
  const auto exceeds = [](const char* what, std::uint64_t have, std::uint64_t more,
                          std::uint64_t most) -> Status {
    if (have + more <= most)
      return {};
    return limit_failure(
        fmt::format("checking your quota of {}", what),
        fmt::format("{} in use and {} asked for: destroy a domain first", have, more),
        fmt::format("{}", most));
  };
  if (quota.max_domains)
    TRY(exceeds("domains", held.domains, 1, *quota.max_domains));
  if (quota.max_vcpus)
    TRY(exceeds("vCPUs", held.vcpus, wanted.vcpus, *quota.max_vcpus));
  if (quota.max_memory_mib)
    TRY(exceeds("memory (MiB)", held.memory_mib, wanted.max_memory_kib >> 10,
                *quota.max_memory_mib));
  return {};
}

Status check_unique(Services& services, const GuestRequest& request) {
  const std::string& name = request.configuration.name;
  const auto drafts = services.builds.drafts();
  const bool drafted =
      std::ranges::any_of(drafts, [&name](const Domain* draft) { return draft->name() == name; });
  if (drafted || services.domains.find_name(name))
    return failure(ErrorCode::exists, fmt::format("checking the name \"{}\"", name),
                   "a domain of this name exists: choose another, or destroy it first");
  if (!request.uuid)
    return {};
  const measure::Uuid uuid = *request.uuid;
  bool taken =
      std::ranges::any_of(drafts, [&](const Domain* draft) { return draft->uuid() == uuid; });
  // Xen itself is asked, so that no domain of another toolstack shares the UUID by which a
  // half-built domain is found and destroyed.
  for (const xen::DomainStatus& status : TRY(services.hypervisor.domains()))
    taken = taken || (status.uuid == uuid && !status.dying);
  if (taken)
    return failure(ErrorCode::exists, "checking the UUID " + measure::to_string(uuid),
                   "a domain with this UUID exists: leave the UUID out and the builder makes one");
  return {};
}

Status check_free_memory(Services& services, const measure::DomainConfiguration& wanted) {
  const std::uint64_t free_kib = TRY(services.hypervisor.free_memory_kib());
  std::uint64_t promised_kib = 0;
  for (const Domain* draft : services.builds.drafts())
    promised_kib += draft->configuration.memory_kib + domain_overhead_kib;
  const std::uint64_t needed_kib = wanted.memory_kib + domain_overhead_kib;
  if (promised_kib + needed_kib <= free_kib)
    return {};
  return limit_failure(
      "checking the machine's free memory",
      fmt::format("{} MiB are needed: ask for less memory or destroy a domain", needed_kib >> 10),
      fmt::format("{} MiB free", (free_kib - std::min(free_kib, promised_kib)) >> 10));
}

} // namespace

Status check_limits(const GuestRequest& request) {
  const measure::DomainConfiguration& configuration = request.configuration;
  TRY(measure::validate(configuration));
  if (configuration.vcpus > max_vcpus)
    return limit_failure("checking vcpus", fmt::format("{} are asked for", configuration.vcpus),
                         fmt::format("{}", max_vcpus));
  if (configuration.memory_kib < min_memory_kib)
    return limit_failure("checking memory",
                         fmt::format("only {} KiB are asked for", configuration.memory_kib),
                         fmt::format("at least {} KiB", min_memory_kib));
  if (configuration.max_memory_kib > max_memory_kib)
    return limit_failure("checking maximum memory",
                         fmt::format("{} KiB are asked for", configuration.max_memory_kib),
                         fmt::format("{} KiB", max_memory_kib));
  if (request.command_line.size() > constructor::max_command_line_bytes)
    return limit_failure("checking the command line",
                         fmt::format("it has {} bytes", request.command_line.size()),
                         fmt::format("{} bytes", constructor::max_command_line_bytes));
  if (configuration.type == measure::GuestType::pv &&
      request.command_line.size() > constructor::max_pv_command_line_bytes)
    return limit_failure("checking the command line",
                         fmt::format("it has {} bytes: a PV guest's start info holds no more",
                                     request.command_line.size()),
                         fmt::format("{} bytes", constructor::max_pv_command_line_bytes));
  if (request.initrds.size() > constructor::max_initrds)
    return limit_failure("checking the initrds",
                         fmt::format("there are {}", request.initrds.size()),
                         fmt::format("{} initrds", constructor::max_initrds));
  TRY(check_image(request.kernel, "the kernel", max_kernel_bytes));
  for (std::size_t i = 0; i < request.initrds.size(); ++i)
    TRY(check_image(request.initrds[i], fmt::format("initrd {}", i + 1), max_initrd_bytes));
  return {};
}

policy::Decision decide_create(const policy::Policy& policy, const GuestRequest& request) {
  policy::Request question;
  question.peer = request.peer;
  question.verb = policy::Verb::create;
  policy::GuestFacts guest{
      request.configuration, request.command_line, kernel_facts(request.kernel, policy), {}};
  for (const UsedImage& initrd : request.initrds)
    guest.initrds.push_back(initrd_facts(initrd, policy));
  question.guest = std::move(guest);
  return policy.decide(question);
}

Status check_somebody_may_sign(const policy::Policy& policy, const GuestRequest& request) {
  if (!policy.signers().names.empty() || !brings_unverified(policy, request))
    return {};
  return failure(ErrorCode::denied, "taking the signatures of the request",
                 "the policy has no certificate, so that none of them can count: leave them out");
}

bool brings_unverified(const policy::Policy& policy, const GuestRequest& request) {
  const auto unverified = [&](const UsedImage& image) { return image.unverified(policy.digest()); };
  return unverified(request.kernel) || std::ranges::any_of(request.initrds, unverified);
}

OpenDecision open_decision(std::shared_ptr<const policy::Policy> policy,
                           std::function<void(const policy::Decision&)> refused) {
  const policy::Policy& asked = *policy;
  return {
      .policy = std::move(policy),
      .ask = [&asked](const Domain& draft) { return decide_create(asked, repeat_request(draft)); },
      .refused = std::move(refused)};
}

Status check_room(Services& services, const policy::Policy& policy, const std::string& requester,
                  const GuestRequest& request) {
  if (request.configuration.vtpm != measure::Vtpm::none && !services.settings.vtpm)
    return failure(ErrorCode::unsupported, "checking the vTPM that is asked for",
                   "this builder offers none: its settings have no table [vtpm]");
  TRY(services.domains.backends_of(request.configuration));
  TRY(check_unique(services, request));
  const Held held = held_by(services, requester);
  TRY(check_quota(policy.quota(requester), held, request.configuration));
  if (services.domains.all().size() + services.builds.drafts().size() >= max_domains)
    return limit_failure("checking the number of domains", "the builder has all that it takes",
                         fmt::format("{} domains", max_domains));
  return check_free_memory(services, request.configuration);
}

Result<Domain> make_draft(const GuestRequest& request, const policy::Policy& policy,
                          const policy::Decision& decision) {
  Domain draft;
  draft.peer = request.peer;
  draft.configuration = request.configuration;
  draft.command_line = request.command_line;
  draft.kernel = request.kernel;
  draft.initrds = request.initrds;
  draft.leave_paused = request.leave_paused;
  draft.rule = decision.rule;
  if (request.configuration.vtpm != measure::Vtpm::none)
    draft.vtpm_profile = decision.vtpm_profile;
  draft.policy_digest = policy.digest();
  draft.record.requester = decision.requester;
  draft.uuid_given = request.uuid_given;
  if (request.uuid) {
    draft.record.uuid = *request.uuid;
    return draft;
  }
  if (getrandom(draft.record.uuid.data(), draft.record.uuid.size(), 0) !=
      static_cast<ssize_t>(draft.record.uuid.size()))
    return errno_failure("making a UUID");
  // Version 4, variant 1 (RFC 9562).
  draft.record.uuid[6] = (draft.record.uuid[6] & std::byte{0x0f}) | std::byte{0x40};
  draft.record.uuid[8] = (draft.record.uuid[8] & std::byte{0x3f}) | std::byte{0x80};
  return draft;
}

GuestRequest repeat_request(const Domain& domain) {
  GuestRequest request;
  request.peer = domain.peer;
  request.configuration = domain.configuration;
  request.uuid = domain.uuid();
  request.uuid_given = domain.uuid_given;
  request.command_line = domain.command_line;
  request.kernel = domain.kernel;
  request.initrds = domain.initrds;
  return request;
}

} // namespace ashlar::broker
