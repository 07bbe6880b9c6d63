// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/vtpms.hpp"

#include <utility>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/broker/boot.hpp"
#include "ashlar/broker/limits.hpp"
#include "ashlar/broker/vtpm_device.hpp"

namespace ashlar::broker {

namespace {

constexpr const char* doing = "starting the guest's vTPM";
constexpr std::string_view extended_report = "extended";
constexpr std::string_view failed_report = "failed: ";
constexpr std::size_t max_report_bytes = 700; // shown of what the vTPM says

std::string report_path(std::uint32_t vtpm_domid) {
  return fmt::format("/local/domain/{}/data/vtpm-state", vtpm_domid);
}

BootDomain vtpm_domain(const VtpmImages& images, const Domain& guest) {
  BootDomain wanted;
  wanted.configuration.name = std::string(vtpm_name_prefix) + measure::to_string(guest.uuid());
  wanted.configuration.type = images.type;
  wanted.configuration.memory_kib = images.memory_kib;
  wanted.configuration.max_memory_kib = images.memory_kib;
  // A vTPM that ends has lost its PCRs: it never comes back for the same guest.
  wanted.configuration.on_reboot = measure::StopAction::destroy;
  wanted.command_line = images.command_line;
  return wanted;
}

/// The requester asked for a guest: every error has to say that it is its vTPM's.
Status told_of_vtpm(const Status& outcome) {
  if (outcome || outcome.error().doing == doing)
    return outcome;
  Error error = outcome.error();
  error.why = error.message();
  error.doing = doing;
  error.system_errno = 0; // it is in `why` now
  return std::unexpected(std::move(error));
}

} // namespace

Vtpms::~Vtpms() {
  for (auto& [serial, start] : starts_)
    tidy_up(start);
}

void Vtpms::provide(const Domain& guest, Stage stage, Done done) {
  const std::uint64_t serial = guest.record.serial;
  Start& start = starts_[serial];
  start.stage = std::move(stage);
  start.done = std::move(done);
  start.limit = services_.loop.after(vtpm_start_time, [this, serial] {
    finish(serial, failure(ErrorCode::timeout, doing,
                           fmt::format("it did not say within {} s that the guest is measured; "
                                       "its console's log may tell more",
                                       vtpm_start_time.count())));
  });
  show_progress(serial);
  const Result<Builds::Id> build_id = build(guest);
  if (!build_id)
    return finish(serial, std::unexpected(build_id.error()));
  start.build = *build_id;
  services_.builds.advance();
}

Result<Builds::Id> Vtpms::build(const Domain& guest) {
  const std::uint64_t serial = guest.record.serial;
  const std::optional<VtpmImages>& images = services_.settings.vtpm;
  if (!images || !services_.manager.present())
    return failure(ErrorCode::unsupported, doing,
                   "this builder offers no vTPMs: it needs a TPM Manager in its boot manifest and "
                   "the table [vtpm] in its settings");
  const UsedImage kernel = TRY(image(images->kernel, max_kernel_bytes, kernel_));
  const UsedImage initrd = TRY(image(images->initrd, max_initrd_bytes, initrd_));
  Domain draft = TRY(approved_draft(services_, vtpm_domain(*images, guest), kernel, {initrd}));
  draft.vtpm_of = serial;
  draft.leave_paused = true;
  return services_.builds.submit(
      std::move(draft), [](const char*) {},
      [this, serial](const Result<const Domain*>& vtpm) { built(serial, vtpm); });
}

Result<UsedImage> Vtpms::image(const std::string& path, std::uint64_t limit,
                               std::optional<UsedImage>& kept) {
  if (!kept)
    kept = TRY(take_in_for_boot(services_, path, limit));
  return *kept;
}

void Vtpms::built(std::uint64_t guest_serial, const Result<const Domain*>& vtpm) {
  const auto found = starts_.find(guest_serial);
  if (found == starts_.end())
    return;
  Start& start = found->second;
  start.build.reset();
  if (!vtpm)
    return finish(guest_serial, std::unexpected(vtpm.error()));
  start.serial = (*vtpm)->record.serial;
  start.domid = (*vtpm)->domid();
  const Domain* guest = services_.domains.find_serial(guest_serial);
  if (!guest)
    return finish(guest_serial,
                  failure(ErrorCode::cancelled, doing, "its guest was destroyed meanwhile"));
  services_.manager.bind(
      {.guest_serial = guest_serial,
       .vtpm_serial = start.serial,
       .version = guest->configuration.vtpm,
       .profile = guest->vtpm_profile.value_or(measure::Profile::uapi)},
      [this, guest_serial](const Result<tpm::Ack>& ack) { bound(guest_serial, ack); });
}

void Vtpms::bound(std::uint64_t guest_serial, const Result<tpm::Ack>& ack) {
  const auto found = starts_.find(guest_serial);
  if (found == starts_.end())
    return;
  if (!ack)
    return finish(guest_serial, std::unexpected(ack.error()));
  if (const Status launched = launch(guest_serial, found->second); !launched)
    finish(guest_serial, launched);
}

Status Vtpms::launch(std::uint64_t guest_serial, Start& start) {
  const Domain* guest = services_.domains.find_serial(guest_serial);
  const Domain* manager = services_.domains.find_tpm_manager();
  if (!guest || !manager)
    return failure(
        ErrorCode::cancelled, doing,
        fmt::format("{} was destroyed meanwhile", guest ? "the TPM Manager" : "its guest"));
  TRY(write_vtpm_device(
      services_.store,
      {.frontend = start.domid, .backend = manager->domid(), .uuid = guest->uuid()}));
  // A UUID that was made up never comes again, and nothing has to be kept for it.
  if (const Domain* keeper = services_.domains.find_vtpm_state_store(); keeper && guest->uuid_given)
    TRY(write_vtpm_device(services_.store, {.kind = device_vtpm_state,
                                            .frontend = start.domid,
                                            .backend = keeper->domid(),
                                            .uuid = guest->uuid(),
                                            .requester = guest->record.requester}));
  TRY(write_vtpm_device(services_.store, {.frontend = guest->domid(),
                                          .backend = start.domid,
                                          .uuid = guest->uuid(),
                                          .version = guest->configuration.vtpm}));
  start.report = report_path(start.domid);
  TRY(services_.store.watch(start.report));
  return services_.domains.unpause(start.domid);
}

void Vtpms::store_changed(std::string_view path) {
  for (const auto& [serial, start] : starts_) {
    if (start.report.empty() || start.report != path)
      continue;
    const Result<std::string> report = services_.store.read(start.report);
    if (!report)
      return; // the first event of a watch comes before there is a report
    if (*report == extended_report)
      return finish(serial, {});
    const std::string why = report->starts_with(failed_report)
                                ? report->substr(failed_report.size())
                                : "it reports " + *report;
    return finish(serial, failure(ErrorCode::io, doing, printable(why, max_report_bytes)));
  }
}

void Vtpms::domains_changed() {
  for (const auto& [serial, start] : starts_)
    if (start.serial != 0 && !services_.domains.find_serial(start.serial))
      return finish(serial, failure(ErrorCode::peer_closed, doing,
                                    "its domain ended before it said that the guest is measured; "
                                    "its console's log may tell more"));
}

void Vtpms::show_progress(std::uint64_t guest_serial) {
  const auto found = starts_.find(guest_serial);
  if (found == starts_.end())
    return;
  found->second.stage("vtpm");
  found->second.progress = services_.loop.after(
      vtpm_progress_time, [this, guest_serial] { show_progress(guest_serial); });
}

void Vtpms::give_up(std::uint64_t guest_serial) {
  auto node = starts_.extract(guest_serial);
  if (!node.empty())
    tidy_up(node.mapped());
}

void Vtpms::finish(std::uint64_t guest_serial, const Status& outcome) {
  auto node = starts_.extract(guest_serial);
  if (node.empty())
    return;
  tidy_up(node.mapped());
  node.mapped().done(told_of_vtpm(outcome));
}

void Vtpms::tidy_up(Start& start) {
  services_.loop.forget(start.limit);
  services_.loop.forget(start.progress);
  if (!start.report.empty())
    static_cast<void>(services_.store.unwatch(start.report));
  if (start.build)
    services_.builds.cancel(*std::exchange(start.build, std::nullopt));
}

} // namespace ashlar::broker
