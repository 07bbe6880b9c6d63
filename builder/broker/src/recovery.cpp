// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/recovery.hpp"

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/broker/upload.hpp"

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

Status recover_domain(Services& services, const ImagesByDigest& images, Domain domain,
                      bool started) {
  const std::uint32_t domid = domain.domid();
  const std::uint64_t serial = domain.record.serial;
  const std::string name = domain.name();
  const measure::Uuid uuid = domain.uuid();
  find_image(images, domain.kernel);
  for (UsedImage& initrd : domain.initrds)
    find_image(images, initrd);
  const bool leave_paused = domain.leave_paused;
  services.domains.adopt(std::move(domain));
  log::notice("domain {} ({}) is taken over with its record {}", domid, name, serial);
  if (started || leave_paused)
    return {};
  // It may have died meanwhile, and its domid may be another's now: Lifecycle::check() ends it.
  const auto status = TRY(services.hypervisor.domain(domid));
  if (!status || status->dying || status->uuid != uuid)
    return {};
  // Its record was in the journal before the restart: it may run.
  return services.domains.unpause(domid);
}

} // namespace

Status recover(Services& services, const JournalState& remembered) {
  const ImagesByDigest images = recover_images(services, remembered);
  // First, so that a complete domain is not taken for the rest of an earlier one with its UUID.
  for (const auto& [serial, domain] : remembered.domains)
    TRY(recover_domain(services, images, domain, remembered.started.contains(serial)));
  for (const auto& [serial, uuid] : remembered.intents) {
    log::notice("removing what is left of the unfinished build {} ({})", serial,
                measure::to_string(uuid));
    TRY(services.domains.remove_half_built(uuid));
    TRY(services.journal.abandoned(serial));
  }
  return {};
}

} // namespace ashlar::broker
