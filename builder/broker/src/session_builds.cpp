// SPDX-License-Identifier: LGPL-2.1-or-later
// A session's builds, and the images that it brings for them.
#include "ashlar/broker/session.hpp"

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/broker/limits.hpp"

namespace ashlar::broker {

namespace {
constexpr std::uint64_t progress_step_bytes = 8u << 20;

std::string title(const UsedImage& image) {
  return fmt::format("image {} (sha256 {})", printable(image.label), to_hex(image.digests.sha256));
}

/// Positions of images whose bytes an answer alone needs: the kernel's, where it may depend on what
/// is inside it. Signatures that came along are verified without their images.
std::vector<std::uint32_t> needed_to_decide(const GuestRequest& request,
                                            const policy::Decision& decision) {
  if (!decision.needs_kernel || request.kernel.image)
    return {};
  return {0};
}
} // namespace

std::vector<std::uint32_t> Session::resolve(GuestRequest& request, const std::string& requester) {
  std::vector<std::uint32_t> missing;
  const auto look_up = [&](UsedImage& image, std::uint32_t position) {
    image.image = services_.images.find(requester, image.digests.sha256);
    if (!image.image)
      return missing.push_back(position);
    image.digests = image.image->digests;
    image.size = image.image->size;
  };
  look_up(request.kernel, 0);
  for (std::size_t i = 0; i < request.initrds.size(); ++i)
    look_up(request.initrds[i], static_cast<std::uint32_t>(i + 1));
  return missing;
}

void Session::create(std::uint32_t id, const ashlar_v1_Create& create) {
  Result<GuestRequest> request = guest_request(create);
  if (!request)
    return finish(id, std::unexpected(request.error()));
  if (request->configuration.name.starts_with(vtpm_name_prefix))
    return finish(id, failure(ErrorCode::invalid,
                              fmt::format("checking the name \"{}\"", request->configuration.name),
                              fmt::format("names that begin with \"{}\" are for the domains of "
                                          "guests' vTPMs: choose another",
                                          vtpm_name_prefix)));
  request->peer = peer_;
  const auto policy = services_.policy.current();
  std::vector<std::uint32_t> missing;
  if (const auto requester = policy->requester_name(peer_))
    missing = resolve(*request, *requester);
  if (const Status within = check_limits(*request); !within)
    return finish(id, within);
  if (const Status useful = check_somebody_may_sign(*policy, *request); !useful)
    return finish(id, useful);
  const policy::Decision decision = decide_create(*policy, *request);
  if (!decision.allowed && !decision.unverified)
    return refuse(id, request->configuration.name, decision);
  if (const Status room = check_room(services_, *policy, decision.requester, *request); !room)
    return finish(id, room);
  if (create.dry_run)
    missing = needed_to_decide(*request, decision);
  if (!missing.empty())
    return ask_for(id, missing);
  const Status submitted = create.dry_run ? answer_only(id, *request, policy, decision)
                                          : submit(id, *request, policy, decision);
  if (!submitted)
    finish(id, submitted);
}

void Session::ask_for(std::uint32_t id, const std::vector<std::uint32_t>& missing) {
  ipc::Response response = ashlar_v1_Response_init_zero;
  response.id = id;
  response.which_part = ashlar_v1_Response_missing_images_tag;
  for (const std::uint32_t position : missing)
    response.part.missing_images.positions[response.part.missing_images.positions_count++] =
        position;
  send(response);
}

void Session::refuse(std::uint32_t id, const std::string& guest, const policy::Decision& decision) {
  note("create of \"{}\" refused: {}", printable(guest), decision.reason);
  send(refusal_reply(id, decision));
}

Status Session::check_builds_under_way() const {
  if (builds_.size() < max_requests_per_connection)
    return {};
  return failure(ErrorCode::busy, "queueing the build",
                 fmt::format("{} of your builds are under way on this connection", builds_.size()));
}

void Session::give_up(const BuildUnderWay& build, const char* why) {
  note("build of \"{}\" is given up: {}", build.name, why);
  services_.builds.cancel(build.build);
}

Status Session::submit(std::uint32_t id, const GuestRequest& request,
                       const std::shared_ptr<const policy::Policy>& policy,
                       const policy::Decision& decision) {
  TRY(check_builds_under_way());
  TRY(services_.builds.check_queue(decision.requester, false));
  Domain draft = TRY(make_draft(request, *policy, decision));
  TRY(forget_console(services_.settings.console_log_directory, draft.name()));
  const std::string name = draft.name();
  OpenDecision open;
  if (decision.unverified || brings_unverified(*policy, request))
    open = open_decision(policy, [this, id, name](const policy::Decision& refusal) {
      builds_.erase(id);
      refuse(id, name, refusal);
    });
  const Builds::Id build = services_.builds.submit(
      std::move(draft), [this, id](const char* stage) { send(progress_reply(id, stage)); },
      [this, id, name](const Result<const Domain*>& built) {
        builds_.erase(id);
        if (!built) {
          note("building \"{}\" failed: {}", printable(name), built.error().message());
          return send(failure_reply(id, built.error()));
        }
        note("domain {} ({}) is built and recorded: record {}, rule \"{}\"", (*built)->domid(),
             (*built)->name(), (*built)->record.serial, (*built)->rule);
        const auto status = services_.hypervisor.domain((*built)->domid());
        send(domain_reply(id, **built, status ? *status : std::nullopt,
                          services_.domains.find_vtpm_of((*built)->record.serial), true));
        send(done_reply(id));
      },
      std::move(open));
  builds_[id] = {build, name};
  note("build of \"{}\" begins (rule \"{}\")", name, decision.rule);
  send(progress_reply(id, "queue"));
  services_.builds.advance();
  return {};
}

Status Session::answer_only(std::uint32_t id, const GuestRequest& request,
                            const std::shared_ptr<const policy::Policy>& policy,
                            const policy::Decision& decision) {
  if (!decision.unverified && !brings_unverified(*policy, request)) {
    send(done_reply(id));
    return {};
  }
  TRY(check_builds_under_way());
  TRY(services_.builds.check_queue(decision.requester, true));
  Domain draft = TRY(make_draft(request, *policy, decision));
  const std::string name = draft.name();
  OpenDecision open = open_decision(policy, [this, id, name](const policy::Decision& refusal) {
    builds_.erase(id);
    refuse(id, name, refusal);
  });
  open.only_allowed = [this, id] {
    builds_.erase(id);
    send(done_reply(id));
  };
  const Builds::Id build = services_.builds.submit(
      std::move(draft), [this, id](const char* stage) { send(progress_reply(id, stage)); },
      [this, id](const Result<const Domain*>& built) {
        builds_.erase(id);
        finish(id, std::unexpected(built.error())); // it never gets to a domain
      },
      std::move(open));
  builds_[id] = {build, name};
  services_.builds.advance();
  return {};
}

void Session::upload_begin(std::uint32_t id, const ashlar_v1_UploadBegin& begin) {
  // One that was answered early (refused, failed, cancelled) only waited for its bytes to run out.
  if (upload_ && upload_->intake)
    return finish(id, failure(ErrorCode::busy, "beginning an upload",
                              "one is under way on this connection: end it first"));
  const Result<UsedImage> image = used_image(begin.image, "the image to upload");
  if (!image)
    return finish(id, std::unexpected(image.error()));
  // From here on the client may send data frames: even if we refuse, they are expected and dropped.
  upload_.emplace();
  upload_->id = id;
  upload_->announced = *image;
  upload_->last_byte = EventLoop::Clock::now();
  policy::Request question;
  question.peer = peer_;
  question.verb = policy::Verb::upload;
  question.upload = policy::UploadFacts{image->size, image->digests.sha256};
  const auto policy = services_.policy.current();
  const policy::Decision decision = policy->decide(question);
  if (!decision.allowed) {
    note("upload of {} refused: {}", title(*image), decision.reason);
    return send(refusal_reply(id, decision));
  }
  if (image->size == 0 || image->size > max_initrd_bytes)
    return finish(id, limit_failure("beginning the upload of " + title(*image),
                                    fmt::format("it has {} bytes", image->size),
                                    fmt::format("1 to {} bytes", max_initrd_bytes)));
  std::optional<std::uint64_t> quota;
  if (const auto mib = policy->quota(decision.requester).max_store_mib)
    quota = *mib << 20;
  Result<Reservation> room = services_.images.reserve(decision.requester, image->size, quota);
  forget_dropped_images(services_);
  if (!room)
    return finish(id, std::unexpected(room.error()));
  Result<ImageIntake> intake = ImageIntake::begin(title(*image), image->size);
  if (!intake)
    return finish(id, std::unexpected(intake.error()));
  upload_->requester = decision.requester;
  upload_->room.emplace(std::move(*room));
  upload_->intake.emplace(std::move(*intake));
  send(progress_reply(id, "upload", 0, image->size));
}

void Session::upload_data(std::span<const std::byte> bytes) {
  upload_->last_byte = EventLoop::Clock::now();
  if (!upload_->intake)
    return;
  if (const Status taken = upload_->intake->take(bytes); !taken) {
    upload_->intake.reset();
    upload_->room.reset();
    return finish(upload_->id, taken);
  }
  const std::uint64_t received = upload_->intake->received_bytes();
  if (received - upload_->reported < progress_step_bytes)
    return;
  upload_->reported = received;
  send(progress_reply(upload_->id, "upload", received, upload_->intake->announced_bytes()));
}

void Session::upload_end(std::uint32_t id) {
  if (!upload_ || upload_->id != id)
    return finish(id, failure(ErrorCode::invalid, "ending an upload",
                              "no upload with this request id is under way"));
  SessionUpload upload = std::move(*upload_);
  upload_.reset();
  if (!upload.intake)
    return; // it failed and was answered before
  Result<ImageIntake::Received> received = upload.intake->finish();
  if (!received)
    return finish(id, std::unexpected(received.error()));
  if (received->digests.sha256 != upload.announced.digests.sha256)
    return finish(
        id, failure(ErrorCode::integrity, "receiving " + title(upload.announced),
                    fmt::format("the bytes that came have the SHA-256 {}: the file was changed or "
                                "damaged on its way; nothing of it is kept",
                                to_hex(received->digests.sha256))));
  upload.room.reset(); // the image itself counts from now on
  const Result<ImageHandle> image = keep_image(services_, upload.requester, received->digests,
                                               received->size, std::move(received->file));
  if (!image)
    return finish(id, std::unexpected(image.error()));
  note("{} received, {} bytes", title(upload.announced), received->size);
  if (services_.settings.inspect_ahead && services_.builds.idle() &&
      services_.policy.current()->approves_kernel(peer_, received->digests.sha256))
    services_.inspections.prepare(*image);
  send(image_reply(id, **image, upload.announced.label));
  send(done_reply(id));
}

} // namespace ashlar::broker
