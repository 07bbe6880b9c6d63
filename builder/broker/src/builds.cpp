// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/builds.hpp"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/broker/limits.hpp"

namespace ashlar::broker {

namespace {

measure::MeasuredImage measured_image(const UsedImage& image) {
  return {image.label, image.size, image.digests};
}

Status require_type(const Image& image, measure::GuestType type) {
  const inspector::Description& description = image.inspected->description;
  if (type == measure::GuestType::pv ? description.pv : description.pvh)
    return {};
  return failure(
      ErrorCode::unsupported, "checking the kernel's Xen notes",
      fmt::format("it cannot start as a {} guest (pv: {}, pvh: {}): choose the other type or "
                  "a kernel with {}",
                  measure::to_string(type), description.pv ? "yes" : "no",
                  description.pvh ? "yes" : "no",
                  type == measure::GuestType::pv ? "CONFIG_XEN_PV" : "CONFIG_PVH"));
}

/// The images with a signature that came with the request and was not verified under this policy.
std::vector<UsedImage*> brought_unverified(Domain& draft, const std::string& policy_digest) {
  std::vector<UsedImage*> images;
  const auto look_at = [&](UsedImage& image) {
    if (image.unverified(policy_digest))
      images.push_back(&image);
  };
  look_at(draft.kernel);
  std::ranges::for_each(draft.initrds, look_at);
  return images;
}

} // namespace

Status Builds::check_queue(const std::string& requester, bool dry_run) const {
  std::size_t of_kind = 0;
  std::size_t own = 0;
  for (const auto& [id, build] : builds_) {
    if ((build.decision.only_allowed != nullptr) != dry_run)
      continue;
    ++of_kind;
    own += build.draft.record.requester == requester ? 1 : 0;
  }
  const auto busy = [](std::size_t waiting, const char* whose) {
    return failure(ErrorCode::busy, "queueing the build",
                   fmt::format("{} {} wait already: try again later", waiting, whose));
  };
  if (of_kind >= (dry_run ? max_dry_runs : max_queued_builds))
    return busy(of_kind, "of its kind");
  if (!dry_run && own >= max_queued_builds_per_requester)
    return busy(own, "of yours");
  return {};
}

Builds::Id Builds::submit(Domain draft, Stage stage, Done done, OpenDecision decision) {
  const Id id = next_id_++;
  // A vTPM's guest is under way: were it to wait for its turn, two guests could wait for ever.
  const bool first = draft.vtpm_of != 0;
  builds_.emplace(
      id, Build{std::move(draft), std::move(stage), std::move(done), std::move(decision), nullptr});
  queue_.insert(first ? queue_.begin() : queue_.end(), id);
  return id;
}

bool Builds::may_start(Id id) const {
  const auto counts = [](const auto& entry) {
    return entry.second.running && entry.second.draft.vtpm_of == 0;
  };
  return builds_.at(id).draft.vtpm_of != 0 ||
         std::ranges::count_if(builds_, counts) < static_cast<std::ptrdiff_t>(max_running_builds);
}

void Builds::advance() {
  // Asked anew each time: a build that fails at once comes back here from within start().
  while (!queue_.empty() && may_start(queue_.front())) {
    const Id id = queue_.front();
    queue_.pop_front();
    start(id);
  }
}

void Builds::start(Id id) {
  Build& build = builds_.at(id);
  build.running = true;
  inspections_.give_way(build.draft.kernel.image);
  if (build.decision.policy)
    return decide(id);
  inspect(id);
}

void Builds::decide(Id id) {
  Build& build = builds_.at(id);
  const policy::Decision decision = build.decision.ask(build.draft);
  if (!decision.allowed && !decision.unverified)
    return refuse(id, decision);
  if (decision.unverified || !brought_unverified(build.draft, build.policy_digest()).empty()) {
    if (const Status begun = verify(id, build); !begun)
      fail(id, begun.error());
    return;
  }
  if (build.decision.only_allowed) {
    const auto asked = builds_.extract(id);
    asked.mapped().decision.only_allowed();
    return advance();
  }
  build.draft.rule = decision.rule;
  if (build.draft.configuration.vtpm != measure::Vtpm::none)
    build.draft.vtpm_profile = decision.vtpm_profile;
  inspect(id);
}

Status Builds::verify(Id id, Build& build) {
  SignatureQuery query;
  for (const UsedImage* image : brought_unverified(build.draft, build.policy_digest()))
    query.brought.push_back(
        {image->label, {.sha256 = image->digests.sha256, .message = image->signature}});
  const ImageHandle& kernel = build.draft.kernel.image;
  if (query.brought.empty()) {
    if (!kernel || (kernel->signers && kernel->signers->policy_digest == build.policy_digest()))
      return failure(ErrorCode::internal, "asking the policy",
                     "it stays undecided with all signatures known");
    query.look_inside = kernel.get();
  }
  build.stage("verify");
  build.job = TRY(workshop_.verify(query, build.decision.policy->signers(),
                                   [this, id](auto found) { verified(id, std::move(found)); }));
  return {};
}

void Builds::verified(Id id, Result<FoundSigners> found) {
  if (!found)
    return fail(id, std::move(found).error());
  Build& build = builds_.at(id);
  build.job.reset();
  const std::vector<UsedImage*> brought = brought_unverified(build.draft, build.policy_digest());
  for (std::size_t i = 0; i < brought.size(); ++i)
    brought[i]->brought = VerifiedSigners{build.policy_digest(), std::move(found->brought.at(i))};
  if (brought.empty()) {
    Image& kernel = *build.draft.kernel.image;
    kernel.signers = VerifiedSigners{build.policy_digest(), std::move(found->inside)};
    kernel.looked_inside = true;
    kernel.authenticode = found->authenticode;
  }
  decide(id);
}

void Builds::refuse(Id id, const policy::Decision& decision) {
  const auto build = builds_.extract(id);
  build.mapped().decision.refused(decision);
  advance();
}

void Builds::inspect(Id id) {
  Build& build = builds_.at(id);
  if (build.draft.kernel.image->inspected)
    return construct(id);
  build.stage("inspect");
  Result<std::unique_ptr<Job>> job = inspections_.inspect(
      build.draft.kernel.image, [this, id](const Status& outcome) { inspected(id, outcome); });
  if (!job)
    return fail(id, job.error());
  build.job = std::move(*job);
}

void Builds::inspected(Id id, const Status& outcome) {
  if (!outcome)
    return fail(id, outcome.error());
  construct(id);
}

void Builds::construct(Id id) {
  Build& build = builds_.at(id);
  build.job.reset();
  if (const Status begun = plan_and_construct(id, build); !begun)
    fail(id, begun.error());
}

Status Builds::plan_and_construct(Id id, Build& build) {
  Domain& draft = build.draft;
  const Image& kernel = *draft.kernel.image;
  TRY(require_type(kernel, draft.configuration.type));
  build.stage("construct");
  draft.record.serial = next_serial_++;
  TRY(journal_.intent(draft.record.serial, draft.uuid()));
  constructor::Plan plan;
  plan.uuid = draft.uuid();
  plan.configuration = draft.configuration;
  plan.command_line = draft.command_line;
  plan.initrd_count = static_cast<std::uint32_t>(draft.initrds.size());
  plan.io_pages = draft.io_pages;
  plan.native_tsc = draft.service();
  plan.builder_domid = builder_domid;
  std::vector<int> initrds;
  initrds.reserve(draft.initrds.size());
  for (const UsedImage& initrd : draft.initrds)
    initrds.push_back(initrd.image->file.value());
  const int plain = kernel.inspected->plain ? kernel.inspected->plain.value() : kernel.file.value();
  build.job =
      TRY(workshop_.construct(plan, plain, initrds, [this, id](Result<std::uint32_t> domid) {
        constructed(id, std::move(domid));
      }));
  return {};
}

void Builds::constructed(Id id, Result<std::uint32_t> domid) {
  if (!domid)
    return fail(id, std::move(domid).error());
  Build& build = builds_.at(id);
  build.job.reset();
  build.domid = *domid;
  if (const Status begun = record(id, build); !begun)
    fail(id, begun.error());
}

Status Builds::record(Id id, Build& build) {
  build.stage("record");
  Domain domain = build.draft;
  domain.record.domid = build.domid;
  domain.backends = TRY(domains_.backends_of(domain.configuration));
  measure::Ingredients ingredients;
  ingredients.builder_identity = identity_;
  ingredients.policy_digest = domain.policy_digest;
  ingredients.configuration = domain.configuration;
  ingredients.kernel = measured_image(domain.kernel);
  ingredients.command_line = domain.command_line;
  for (const UsedImage& initrd : domain.initrds)
    ingredients.initrds.push_back(measured_image(initrd));
  domain.record.events = TRY(measure::make_events(ingredients));
  domain.started_unix = static_cast<std::uint64_t>(std::time(nullptr));
  domain.started = EventLoop::Clock::now();
  const measure::Record record = domain.record;
  // From here on the domain has a record; without one it is never unpaused.
  TRY(domains_.add(std::move(domain)));
  // The manager cannot have its own record before it runs: it is the first that it gets.
  if (build.draft.tpm_manager)
    recorded(id, tpm::Ack{});
  else
    manager_.put(record, [this, id](const Result<tpm::Ack>& ack) { recorded(id, ack); });
  return {};
}

void Builds::recorded(Id id, const Result<tpm::Ack>& ack) {
  const auto found = builds_.find(id);
  if (found == builds_.end())
    return; // cancelled meanwhile
  if (!ack)
    return fail(id, ack.error());
  attach(id, found->second);
}

void Builds::attach(Id id, Build& build) {
  const Domain* guest = domains_.find_serial(build.draft.record.serial);
  if (!guest || guest->backends.empty())
    return attached(id, {});
  // Whoever has the backends waits for them, and nobody else.
  build.running = false;
  devices_.attach(
      *guest, [stage = build.stage] { stage("devices"); },
      [this, id](const Status& outcome) { attached(id, outcome); });
  advance();
}

void Builds::attached(Id id, const Status& outcome) {
  const auto found = builds_.find(id);
  if (found == builds_.end())
    return;
  Build& build = found->second;
  const Domain* guest = domains_.find_serial(build.draft.record.serial);
  if (!outcome || !guest || build.draft.configuration.vtpm == measure::Vtpm::none)
    return measured(id, outcome);
  build.stage("vtpm");
  vtpms_->provide(*guest, build.stage,
                  [this, id](const Status& provided) { measured(id, provided); });
}

void Builds::measured(Id id, const Status& outcome) {
  const auto found = builds_.find(id);
  if (found == builds_.end())
    return;
  const Status started = outcome ? admit_and_start(found->second) : outcome;
  if (!started)
    return fail(id, started.error());
  const auto build = builds_.extract(found);
  build.mapped().done(domains_.find(build.mapped().domid));
  advance();
}

Status Builds::admit_and_start(const Build& build) {
  const Domain* domain = domains_.find_serial(build.draft.record.serial);
  if (!domain)
    return failure(ErrorCode::cancelled, "starting the domain",
                   "it was destroyed before it was ready");
  TRY(domains_.admit(build.domid));
  if (build.draft.leave_paused)
    return {};
  build.stage("start");
  return domains_.unpause(build.domid);
}

void Builds::fail(Id id, Error error) {
  auto node = builds_.extract(id);
  node.mapped().job.reset();
  clean_up(node.mapped().draft);
  node.mapped().done(std::unexpected(std::move(error)));
  advance();
}

void Builds::cancel(Id id) {
  auto node = builds_.extract(id);
  if (node.empty())
    return;
  std::erase(queue_, id);
  node.mapped().job.reset(); // kills and reaps the child: it changes nothing after this
  clean_up(node.mapped().draft);
  advance();
}

void Builds::clean_up(const Domain& draft) {
  if (draft.record.serial == 0)
    return; // nothing was begun
  devices_.give_up(draft.record.serial);
  if (draft.configuration.vtpm != measure::Vtpm::none)
    vtpms_->give_up(draft.record.serial);
  Status cleaned;
  // A domain that made it into the table and failed after that (its start) ends as any other.
  if (const Domain* complete = domains_.find_uuid(draft.uuid());
      complete && complete->record.serial == draft.record.serial)
    cleaned = domains_.destroy(complete->domid());
  else
    cleaned = domains_.remove_half_built(draft.uuid());
  if (cleaned)
    cleaned = domains_.forget(draft.record.serial);
  if (!cleaned)
    log::error(
        "removing what is left of domain {} (record {}): {}; it stays paused, and is removed "
        "when the builder starts next",
        draft.name(), draft.record.serial, cleaned.error().message());
}

std::vector<const Domain*> Builds::drafts() const {
  std::vector<const Domain*> drafts;
  for (const auto& [id, build] : builds_)
    if (!build.decision.only_allowed && !domains_.find_serial(build.draft.record.serial))
      drafts.push_back(&build.draft);
  return drafts;
}

} // namespace ashlar::broker
