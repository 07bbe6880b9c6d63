// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/services.hpp"

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"

namespace ashlar::broker {

namespace {
std::string stored_name(const measure::Sha256& sha256) {
  return "image-" + to_hex(sha256);
}
} // namespace

Result<ImageHandle> keep_image(Services& services, const std::string& requester,
                               const measure::Digests& digests, std::uint64_t size, UniqueFd file) {
  ImageHandle image = services.images.add(requester, digests, size, std::move(file));
  TRY(services.journal.holder(digests.sha256, requester));
  const Status stored = services.fd_store.store(stored_name(digests.sha256), image->file.value());
  if (!stored)
    log::warning("{}: image {} will not survive a restart of the builder", stored.error().message(),
                 to_hex(digests.sha256));
  return image;
}

void forget_dropped_images(Services& services) {
  for (const measure::Sha256& sha256 : services.images.take_dropped()) {
    Status forgotten = services.journal.image_dropped(sha256);
    if (forgotten)
      forgotten = services.fd_store.remove(stored_name(sha256));
    if (!forgotten)
      log::warning("forgetting image {}: {}", to_hex(sha256), forgotten.error().message());
  }
}

} // namespace ashlar::broker
