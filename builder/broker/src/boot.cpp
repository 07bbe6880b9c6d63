// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/boot.hpp"

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/broker/admission.hpp"
#include "ashlar/broker/upload.hpp"

namespace ashlar::broker {

namespace {

Result<UsedImage> take_in(Services& services, const std::string& requester, const std::string& path,
                          std::uint64_t limit) {
  ImageIntake::Received received = TRY(take_in_file(path, limit));
  const std::uint64_t size = received.size;
  const measure::Digests digests = received.digests;
  const Reservation room = TRY(services.images.reserve(requester, size, std::nullopt));
  // Before the image is kept: it may be one that was just dropped.
  forget_dropped_images(services);
  const ImageHandle image =
      TRY(keep_image(services, requester, digests, size, std::move(received.file)));
  return UsedImage{path, size, digests, image};
}

Result<Domain> approved_draft(Services& services, const BootDomain& wanted) {
  const auto policy = services.policy.current();
  GuestRequest request;
  request.peer = policy::BootManifestPeer{};
  request.configuration = wanted.configuration;
  request.command_line = wanted.command_line;
  const auto requester = policy->requester_name(request.peer);
  if (!requester)
    return failure(ErrorCode::denied, "asking the policy",
                   "no [[requester]] has \"boot = true\": add one, and a rule that lets it create");
  request.kernel = TRY(take_in(services, *requester, wanted.kernel, max_kernel_bytes));
  for (const std::string& initrd : wanted.initrds)
    request.initrds.push_back(TRY(take_in(services, *requester, initrd, max_initrd_bytes)));
  TRY(check_limits(request));
  const policy::Decision decision = decide_create(*policy, request);
  if (!decision.allowed)
    return failure(ErrorCode::denied, "asking the policy", decision.reason);
  TRY(check_room(services, *policy, *requester, request));
  Domain draft = TRY(make_draft(request, *policy, decision));
  draft.requester = wanted.requester;
  draft.essential = wanted.essential;
  return draft;
}

void failed(Services& services, const BootDomain& wanted, const Error& error) {
  log::error("starting \"{}\" of the boot manifest: {}", wanted.configuration.name,
             error.message());
  if (wanted.essential)
    services.loop.stop(essential_domain_ended);
}

} // namespace

void start_boot_domains(Services& services, const std::vector<BootDomain>& domains) {
  for (const BootDomain& wanted : domains) {
    if (services.domains.find_name(wanted.configuration.name))
      continue; // taken over after a restart of the builder
    Result<Domain> draft = approved_draft(services, wanted);
    if (!draft) {
      failed(services, wanted, draft.error());
      continue;
    }
    const auto submitted = services.builds.submit(
        std::move(*draft), [](const char*) {},
        [&services, wanted](const Result<const Domain*>& built) {
          if (!built)
            return failed(services, wanted, built.error());
          log::notice("domain {} ({}) of the boot manifest is built and recorded: record {}",
                      (*built)->domid(), (*built)->name(), (*built)->record.serial);
        });
    if (!submitted)
      failed(services, wanted, submitted.error());
  }
  services.builds.advance();
}

} // namespace ashlar::broker
