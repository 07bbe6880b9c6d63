// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/lifecycle.hpp"

#include <chrono>
#include <vector>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/broker/admission.hpp"
#include "ashlar/broker/vtpm_device.hpp"

namespace ashlar::broker {

namespace {

const char* to_string(xen::ShutdownReason reason) {
  switch (reason) {
  case xen::ShutdownReason::poweroff:
    return "powered off";
  case xen::ShutdownReason::reboot:
    return "asked for a reboot";
  case xen::ShutdownReason::suspend:
    return "suspended itself";
  case xen::ShutdownReason::crash:
    return "crashed";
  case xen::ShutdownReason::watchdog:
    return "was stopped by its watchdog";
  case xen::ShutdownReason::soft_reset:
    return "asked for a soft reset";
  }
  return "stopped";
}

measure::StopAction action_for(const measure::DomainConfiguration& configuration,
                               xen::ShutdownReason reason) {
  switch (reason) {
  case xen::ShutdownReason::poweroff:
    return configuration.on_poweroff;
  case xen::ShutdownReason::reboot:
    return configuration.on_reboot;
  // What the builder cannot do for a guest (resume it, reset it in place) counts as a crash.
  case xen::ShutdownReason::suspend:
  case xen::ShutdownReason::crash:
  case xen::ShutdownReason::watchdog:
  case xen::ShutdownReason::soft_reset:
    break;
  }
  return configuration.on_crash;
}

bool all_images_held(const Domain& domain) {
  for (const UsedImage& initrd : domain.initrds)
    if (!initrd.image)
      return false;
  return domain.kernel.image != nullptr;
}

} // namespace

void Lifecycle::check() {
  std::vector<std::uint32_t> domids;
  for (const auto& [domid, domain] : services_.domains.all())
    domids.push_back(domid);
  for (const std::uint32_t domid : domids)
    check(domid);
  for (const std::uint32_t domid : domids)
    check_partner(domid);
}

void Lifecycle::check_partner(std::uint32_t domid) {
  const Domain* domain = services_.domains.find(domid);
  if (!domain)
    return;
  if (domain->vtpm_of != 0 && !services_.domains.find_serial(domain->vtpm_of))
    return end(*domain, "is the vTPM of a guest that is gone");
  // One that is not admitted yet is being built: the build takes care of it.
  if (domain->admitted && domain->configuration.vtpm != measure::Vtpm::none &&
      !services_.domains.find_vtpm_of(domain->record.serial))
    end(*domain, "has lost its vTPM");
}

void Lifecycle::check(std::uint32_t domid) {
  const Domain* domain = services_.domains.find(domid);
  if (!domain)
    return;
  const Result<std::optional<xen::DomainStatus>> status = services_.hypervisor.domain(domid);
  if (!status)
    return try_later(*domain, status.error());
  if (!*status || (*status)->uuid != domain->uuid() || (*status)->dying)
    return end(*domain, "was destroyed by somebody else");
  if ((*status)->shutdown)
    return stopped(*domain, *(*status)->shutdown);
  failing_.erase(domain->record.serial);
}

void Lifecycle::stopped(const Domain& domain, xen::ShutdownReason reason) {
  const measure::StopAction action = action_for(domain.configuration, reason);
  if (action == measure::StopAction::preserve) {
    if (preserved_.insert(domain.record.serial).second)
      log::notice("domain {} ({}) {}; it is preserved", domain.domid(), domain.name(),
                  to_string(reason));
    return;
  }
  if (action == measure::StopAction::restart) {
    if (!failing_.contains(domain.record.serial))
      log::notice("domain {} ({}) {}", domain.domid(), domain.name(), to_string(reason));
    return restart(domain);
  }
  end(domain, to_string(reason));
}

void Lifecycle::end(const Domain& domain, const std::string& why) {
  const bool essential = domain.essential;
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): the domain goes, its name does not
  const std::string name = domain.name();
  const std::uint64_t serial = domain.record.serial;
  const std::uint32_t domid = domain.domid();
  if (!failing_.contains(serial))
    log::notice("domain {} ({}) {}: record {} is revoked", domid, name, why, serial);
  preserved_.erase(serial);
  if (const Status ended = services_.domains.destroy(domid); !ended) {
    if (const Domain* left = services_.domains.find_serial(serial))
      return try_later(*left, ended.error());
    log::error("ending domain {}: {}", name, ended.error().message());
  }
  failing_.erase(serial);
  ended_for_good(essential, name);
}

void Lifecycle::try_later(const Domain& domain, const Error& error) {
  if (failing_.insert(domain.record.serial).second)
    log::error("ending domain {}, if it has stopped: {}; this is tried again each {} s",
               domain.name(), error.message(), end_retry_pause.count());
  services_.loop.forget(again_);
  again_ = services_.loop.after(end_retry_pause, [this] { check(); });
}

void Lifecycle::restart(const Domain& old) {
  if (old.tpm_manager)
    return end(old, "may not be restarted: its log would begin anew and the hardware PCR would "
                    "not; restart the machine");
  const auto now = EventLoop::Clock::now();
  const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(now - old.started);
  if (const std::string why = limit_.refuse(old.uuid(), uptime, now); !why.empty())
    return end(old, why);
  if (!all_images_held(old))
    return end(old,
               "cannot be restarted: its images were lost when the builder restarted without a "
               "supervisor that keeps descriptors");
  const GuestRequest request = repeat_request(old);
  const bool requester = old.requester;
  const bool essential = old.essential;
  const bool state_store = old.vtpm_state_store;
  const auto io_pages = old.io_pages;
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): the domain goes, its name does not
  const std::string name = old.name();
  // The policy of today decides: images whose approval was withdrawn do not start again.
  const auto policy = services_.policy.current();
  const policy::Decision decision = decide_create(*policy, request);
  if (!decision.allowed && !decision.unverified)
    return end(old, "may not be restarted: " + decision.reason);
  const std::uint64_t serial = old.record.serial;
  if (const Status ended = services_.domains.destroy(old.domid()); !ended) {
    if (const Domain* left = services_.domains.find_serial(serial))
      return try_later(*left, ended.error());
    log::error("ending domain {} for its restart: {}", name, ended.error().message());
  }
  failing_.erase(serial);
  Result<Domain> draft = make_draft(request, *policy, decision);
  if (!draft) {
    log::error("restarting domain {}: {}", name, draft.error().message());
    return ended_for_good(essential, name);
  }
  draft->requester = requester;
  draft->essential = essential;
  draft->vtpm_state_store = state_store;
  draft->io_pages = io_pages;
  OpenDecision open;
  if (decision.unverified || brings_unverified(*policy, request))
    open = open_decision(policy, [this, essential, name](const policy::Decision& refusal) {
      log::notice("domain {} may not be restarted: {}", name, refusal.reason);
      ended_for_good(essential, name);
    });
  services_.builds.submit(
      std::move(*draft), [](const char*) {},
      [this, essential, name](Result<const Domain*> built) {
        if (built)
          return runs_again(**built);
        log::error("restarting domain {}: {}", name, built.error().message());
        ended_for_good(essential, name);
      },
      std::move(open));
  services_.builds.advance();
}

void Lifecycle::runs_again(const Domain& built) {
  log::notice("domain {} runs again as domid {} with record {}", built.name(), built.domid(),
              built.record.serial);
  if (const Status offered = offer_key_store(services_); !offered)
    log::error("giving the TPM Manager its store of keys: {}", offered.error().message());
}

void Lifecycle::ended_for_good(bool essential, const std::string& name) {
  if (!essential)
    return;
  log::notice("domain {} is essential and has ended: the builder stops", name);
  services_.loop.stop(essential_domain_ended);
}

} // namespace ashlar::broker
