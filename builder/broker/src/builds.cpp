// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/builds.hpp"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/broker/limits.hpp"

namespace ashlar::broker {

namespace {

measure::MeasuredImage measured(const UsedImage& image) {
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

} // namespace

Result<Builds::Id> Builds::submit(Domain draft, Stage stage, Done done) {
  if (builds_.size() >= max_queued_builds)
    return failure(ErrorCode::busy, "queueing the build",
                   fmt::format("{} builds wait already: try again later", builds_.size()));
  const Id id = next_id_++;
  builds_.emplace(id, Build{std::move(draft), std::move(stage), std::move(done), nullptr, false});
  queue_.push_back(id);
  return id;
}

void Builds::advance() {
  const auto running = [](const auto& entry) { return entry.second.running; };
  // Counted anew each time: a build that fails at once comes back here from within start().
  while (!queue_.empty() && std::ranges::count_if(builds_, running) <
                                static_cast<std::ptrdiff_t>(max_running_builds)) {
    const Id id = queue_.front();
    queue_.pop_front();
    start(id);
  }
}

void Builds::start(Id id) {
  Build& build = builds_.at(id);
  build.running = true;
  if (build.draft.kernel.image->inspected)
    return construct(id);
  build.stage("inspect");
  Result<std::unique_ptr<Job>> job =
      workshop_.inspect(*build.draft.kernel.image, [this, id](Result<InspectedKernel> kernel) {
        inspected(id, std::move(kernel));
      });
  if (!job)
    return fail(id, job.error());
  build.job = std::move(*job);
}

void Builds::inspected(Id id, Result<InspectedKernel> kernel) {
  if (!kernel)
    return fail(id, std::move(kernel).error());
  Image& image = *builds_.at(id).draft.kernel.image;
  if (!image.inspected)
    image.inspected = std::move(*kernel);
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
  std::vector<int> initrds;
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
  if (const Status begun = record_and_start(build, *domid); !begun)
    return fail(id, begun.error());
  const Done done = std::move(build.done);
  builds_.erase(id);
  done(domains_.find(*domid));
  advance();
}

Status Builds::record_and_start(Build& build, std::uint32_t domid) {
  build.stage("record");
  Domain domain = build.draft;
  domain.record.domid = domid;
  measure::Ingredients ingredients;
  ingredients.builder_identity = identity_;
  ingredients.policy_digest = domain.policy_digest;
  ingredients.configuration = domain.configuration;
  ingredients.kernel = measured(domain.kernel);
  ingredients.command_line = domain.command_line;
  for (const UsedImage& initrd : domain.initrds)
    ingredients.initrds.push_back(measured(initrd));
  domain.record.events = TRY(measure::make_events(ingredients));
  domain.started_unix = static_cast<std::uint64_t>(std::time(nullptr));
  // From here on the domain has a record; without one it is never unpaused.
  TRY(domains_.add(std::move(domain)));
  if (build.draft.leave_paused)
    return {};
  build.stage("start");
  return domains_.unpause(domid);
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
  Status cleaned;
  // A domain that made it into the table and failed after that (its start) ends as any other.
  if (const Domain* complete = domains_.find_uuid(draft.uuid());
      complete && complete->record.serial == draft.record.serial)
    cleaned = domains_.destroy(complete->domid());
  else
    cleaned = domains_.remove_half_built(draft.uuid());
  if (cleaned)
    cleaned = journal_.abandoned(draft.record.serial);
  if (!cleaned)
    log::error(
        "removing what is left of domain {} (record {}): {}; it stays paused, and is removed "
        "when the builder starts next",
        draft.name(), draft.record.serial, cleaned.error().message());
}

std::vector<const Domain*> Builds::drafts() const {
  std::vector<const Domain*> drafts;
  for (const auto& [id, build] : builds_)
    drafts.push_back(&build.draft);
  return drafts;
}

} // namespace ashlar::broker
