// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/boot.hpp"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/broker/admission.hpp"
#include "ashlar/broker/upload.hpp"
#include "ashlar/broker/vtpm_device.hpp"

namespace ashlar::broker {

namespace {

/// The policy's name for the builder itself.
Result<std::string> boot_requester(Services& services) {
  const auto requester =
      services.policy.current()->requester_name(policy::Peer(policy::BootManifestPeer{}));
  if (requester)
    return *requester;
  return failure(ErrorCode::denied, "asking the policy",
                 "no [[requester]] has \"boot = true\": add one, and a rule that lets it create");
}

void failed(Services& services, const BootDomain& wanted, const Error& error) {
  log::error("starting \"{}\" of the boot manifest: {}", wanted.configuration.name,
             error.message());
  if (wanted.essential)
    services.loop.stop(essential_domain_ended);
}

Status submit(Services& services, const BootDomain& wanted, Builds::Done done) {
  const UsedImage kernel = TRY(take_in_for_boot(services, wanted.kernel, max_kernel_bytes));
  std::vector<UsedImage> initrds;
  for (const std::string& initrd : wanted.initrds)
    initrds.push_back(TRY(take_in_for_boot(services, initrd, max_initrd_bytes)));
  Domain draft = TRY(approved_draft(services, wanted, kernel, initrds));
  services.builds.submit(std::move(draft), [](const char*) {}, std::move(done));
  return {};
}

/// Starts one domain if it does not exist yet; `ready` is called when it is built.
void start(Services& services, const BootDomain& wanted,
           const std::function<void(const Domain&)>& ready) {
  if (services.domains.find_name(wanted.configuration.name))
    return; // taken over after a restart of the builder
  const Status submitted =
      submit(services, wanted, [&services, wanted, ready](const Result<const Domain*>& built) {
        if (!built)
          return failed(services, wanted, built.error());
        log::notice("domain {} ({}) of the boot manifest is built and recorded: record {}",
                    (*built)->domid(), (*built)->name(), (*built)->record.serial);
        ready(**built);
      });
  if (!submitted)
    failed(services, wanted, submitted.error());
}

void start_all(Services& services, const std::vector<BootDomain>& domains) {
  for (const BootDomain& wanted : domains)
    if (!wanted.tpm_manager)
      start(services, wanted, [&services](const Domain& built) {
        if (!built.vtpm_state_store)
          return;
        if (const Status offered = offer_key_store(services); !offered)
          log::error("giving the TPM Manager its store of keys: {}", offered.error().message());
      });
  services.builds.advance();
}

/// Gives the TPM Manager its own record, as often as it takes, and then starts the others.
void introduce(Services& services, const measure::Record& record, const BootDomain& wanted,
               const std::vector<BootDomain>& others, EventLoop::Clock::time_point deadline) {
  services.manager.put(
      record, [&services, record, wanted, others, deadline](const Result<tpm::Ack>& ack) {
        if (ack) {
          log::notice("the TPM Manager in domain {} has its own record in PCR {}", record.domid,
                      ack->pcr);
          return start_all(services, others);
        }
        if (ack.error().code != ErrorCode::timeout || EventLoop::Clock::now() > deadline)
          return failed(services, wanted, ack.error());
        introduce(services, record, wanted, others, deadline);
      });
}

} // namespace

Result<UsedImage> take_in_for_boot(Services& services, const std::string& path,
                                   std::uint64_t limit) {
  const std::string requester = TRY(boot_requester(services));
  const OpenedFile file = TRY(open_file(path));
  // Domains that boot the same kernel name the same file.
  for (const ImageHandle& held : services.images.held_by(requester))
    if (held->source == file.version && held->size <= limit)
      return UsedImage{path, held->size, held->digests, held};
  ImageIntake::Received received = TRY(take_in_file(file, path, limit));
  const std::uint64_t size = received.size;
  const measure::Digests digests = received.digests;
  const Reservation room = TRY(services.images.reserve(requester, size, std::nullopt));
  // Before the image is kept: it may be one that was just dropped.
  forget_dropped_images(services);
  const ImageHandle image =
      TRY(keep_image(services, requester, digests, size, std::move(received.file)));
  image->source = file.version;
  return UsedImage{path, size, digests, image};
}

Result<Domain> approved_draft(Services& services, const BootDomain& wanted, const UsedImage& kernel,
                              const std::vector<UsedImage>& initrds) {
  const auto policy = services.policy.current();
  const std::string requester = TRY(boot_requester(services));
  GuestRequest request;
  request.peer = policy::BootManifestPeer{};
  request.configuration = wanted.configuration;
  request.command_line = wanted.command_line;
  request.kernel = kernel;
  request.initrds = initrds;
  TRY(check_limits(request));
  const policy::Decision decision = decide_create(*policy, request);
  if (!decision.allowed)
    return failure(ErrorCode::denied,
                   fmt::format("asking the policy for \"{}\"", wanted.configuration.name),
                   decision.reason);
  TRY(check_room(services, *policy, requester, request));
  Domain draft = TRY(make_draft(request, *policy, decision));
  draft.requester = wanted.requester;
  draft.essential = wanted.essential;
  draft.tpm_manager = wanted.tpm_manager;
  draft.vtpm_state_store = wanted.vtpm_state_store;
  draft.io_pages = wanted.io_pages;
  return draft;
}

void start_boot_domains(Services& services, const std::vector<BootDomain>& domains) {
  const auto manager = std::ranges::find_if(domains, &BootDomain::tpm_manager);
  if (manager == domains.end() || services.domains.find_tpm_manager())
    return start_all(services, domains);
  start(services, *manager, [&services, wanted = *manager, domains](const Domain& built) {
    services.manager.runs_in(built.domid());
    introduce(services, built.record, wanted, domains,
              EventLoop::Clock::now() + tpm_manager_start_time);
  });
  services.builds.advance();
}

} // namespace ashlar::broker
