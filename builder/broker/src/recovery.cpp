// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/recovery.hpp"

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/broker/upload.hpp"
#include "ashlar/broker/vtpm_device.hpp"

namespace ashlar::broker {

namespace {

/// Every image by digest, whoever holds it: a domain's own images are found here even if their
/// requester's right to them was never journaled.
using ImagesByDigest = std::map<measure::Sha256, ImageHandle>;

ImagesByDigest recover_images(Services& services, const JournalState& remembered) {
  ImagesByDigest images;
  for (auto& [name, fd] : services.fd_store.take_stored()) {
    const std::string stored_as = name;
    Result<ImageIntake::Received> received = take_in_stored(stored_as, std::move(fd));
    const auto holders =
        received ? remembered.holders.find(received->digests.sha256) : remembered.holders.end();
    if (!received || holders == remembered.holders.end() || holders->second.empty()) {
      log::warning("dropping the stored {}: {}", printable(stored_as),
                   received ? "nobody in the journal holds it" : received.error().message());
      static_cast<void>(services.fd_store.remove(stored_as));
      continue;
    }
    const measure::Digests digests = received->digests;
    ImageHandle image;
    for (const std::string& holder : holders->second)
      image = services.images.add(holder, digests, received->size,
                                  image ? UniqueFd() : std::move(received->file));
    images[digests.sha256] = image;
  }
  return images;
}

void find_image(const ImagesByDigest& images, UsedImage& used) {
  if (const auto found = images.find(used.digests.sha256); found != images.end())
    used.image = found->second;
}

void recover_domain(Services& services, const ImagesByDigest& images, Domain domain) {
  find_image(images, domain.kernel);
  for (UsedImage& initrd : domain.initrds)
    find_image(images, initrd);
  log::notice("domain {} ({}) is taken over with its record {}", domain.domid(), domain.name(),
              domain.record.serial);
  if (domain.tpm_manager)
    services.manager.runs_in(domain.domid());
  services.domains.adopt(std::move(domain));
}

/// Is it still the domain that was built? Its domid may be another's now: Lifecycle::check() ends
/// the record.
Result<bool> exists(Services& services, const Domain& domain) {
  const auto status = TRY(services.hypervisor.domain(domain.domid()));
  return status && !status->dying && status->uuid == domain.uuid();
}

/// The last step of a build that the restart interrupted.
Status start_unless_gone(Services& services, const Domain& domain) {
  if (!TRY(exists(services, domain)))
    return {};
  return services.domains.unpause(domain.domid());
}

/// The TPM Manager has the record of a domain that was complete, and had not been unpaused.
Status admit_and_start(Services& services, const Domain& domain) {
  TRY(services.domains.admit(domain.domid()));
  return domain.leave_paused ? Status{} : start_unless_gone(services, domain);
}

void acknowledged(Services& services, std::uint64_t serial, const Result<tpm::Ack>& ack) {
  const Domain* domain = services.domains.find_serial(serial);
  if (!domain)
    return;
  Status outcome = ack ? Status{} : Status(std::unexpected(ack.error()));
  if (outcome && !domain->admitted)
    outcome = admit_and_start(services, *domain);
  if (outcome)
    return;
  log::error("taking over domain {}: {}", domain->name(), outcome.error().message());
  // One that was admitted may go on: the manager had its record then.
  if (!domain->admitted)
    if (const Status ended = services.domains.destroy(domain->domid()); !ended)
      log::error("ending it: {}", ended.error().message());
}

/// A guest whose devices or vTPM were not there yet is half-built: nobody waits for them any more.
Status end_unmeasured(Services& services, const JournalState& remembered) {
  for (const auto& [serial, domain] : remembered.domains) {
    const bool waited =
        domain.configuration.vtpm != measure::Vtpm::none || !domain.backends.empty();
    if (!waited || domain.admitted)
      continue;
    log::notice("domain {} ({}) did not have its devices or its vTPM yet: it is destroyed",
                domain.domid(), domain.name());
    TRY(services.domains.destroy(domain.domid()));
  }
  return {};
}

/// Gives the TPM Manager every record and binding again: what it has it acknowledges once more.
void repeat_records(Services& services) {
  std::vector<measure::Record> records;
  for (const auto& [domid, domain] : services.domains.all())
    records.push_back(domain.record);
  for (const measure::Record& record : records)
    services.manager.put(record, [&services, serial = record.serial](const Result<tpm::Ack>& ack) {
      acknowledged(services, serial, ack);
    });
  for (const auto& [domid, vtpm] : services.domains.all()) {
    const Domain* guest = services.domains.find_serial(vtpm.vtpm_of);
    if (vtpm.vtpm_of == 0 || !guest)
      continue;
    services.manager.bind({.guest_serial = vtpm.vtpm_of,
                           .vtpm_serial = vtpm.record.serial,
                           .version = guest->configuration.vtpm,
                           .profile = guest->vtpm_profile.value_or(measure::Profile::uapi)},
                          [name = guest->name()](const Result<tpm::Ack>& ack) {
                            if (!ack)
                              log::error("binding the vTPM of {} again: {}", name,
                                         ack.error().message());
                          });
  }
}

/// What had been admitted before the restart, and was not unpaused yet.
Status start_admitted(Services& services, const JournalState& remembered) {
  for (const auto& [serial, domain] : remembered.domains) {
    // A TPM Manager that never ran has nobody who could acknowledge its record.
    const bool first = domain.tpm_manager && !domain.admitted;
    if (first)
      TRY(services.domains.admit(domain.domid()));
    const bool done = remembered.started.contains(serial) || domain.leave_paused;
    if (!done && (domain.admitted || first))
      TRY(start_unless_gone(services, domain));
  }
  return {};
}

} // namespace

Status recover(Services& services, const JournalState& remembered) {
  const ImagesByDigest images = recover_images(services, remembered);
  // First, so that a complete domain is not taken for the rest of an earlier one with its UUID.
  for (const auto& [serial, domain] : remembered.domains)
    recover_domain(services, images, domain);
  for (const auto& [serial, domain] : remembered.ended)
    services.domains.detach(domain);
  for (const auto& [serial, uuid] : remembered.intents) {
    log::notice("removing what is left of the unfinished build {} ({})", serial,
                measure::to_string(uuid));
    TRY(services.domains.remove_half_built(uuid));
    services.domains.revoke(serial);
  }
  TRY(end_unmeasured(services, remembered));
  TRY(start_admitted(services, remembered));
  repeat_records(services);
  // The last process may have ended between the start of the store's domain and this.
  return offer_key_store(services);
}

} // namespace ashlar::broker
