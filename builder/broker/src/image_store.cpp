// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/image_store.hpp"

#include <fmt/format.h>

#include "ashlar/broker/limits.hpp"

namespace ashlar::broker {

namespace {
constexpr std::uint64_t mib(std::uint64_t bytes) {
  return (bytes + (1u << 20) - 1) >> 20;
}
} // namespace

std::uint64_t Image::held_bytes() const {
  return size + (inspected && inspected->plain ? inspected->description.plain_bytes : 0);
}

Reservation::~Reservation() {
  if (store_)
    store_->reserved_[requester_] -= bytes_;
}

Result<Reservation> ImageStore::reserve(const std::string& requester, std::uint64_t bytes,
                                        std::optional<std::uint64_t> quota_bytes) {
  const std::string doing = fmt::format("making room for an image of {} MiB", mib(bytes));
  if (quota_bytes) {
    if (bytes > *quota_bytes)
      return failure(ErrorCode::limit, doing,
                     fmt::format("your image store may hold {} MiB", mib(*quota_bytes)));
    while (used_bytes(requester) + bytes > *quota_bytes)
      if (!drop_one(&requester))
        return failure(
            ErrorCode::busy, doing,
            fmt::format("{} of your {} MiB are in use: destroy a domain or wait for a build",
                        mib(used_bytes(requester)), mib(*quota_bytes)));
  }
  if (bytes > budget_)
    return failure(ErrorCode::limit, doing,
                   fmt::format("the builder's image store holds {} MiB in all", mib(budget_)));
  while (used_bytes() + bytes > budget_ || images_.size() >= max_images)
    if (!(used_bytes() + bytes > budget_ ? drop_one(nullptr) : drop_image(nullptr)))
      return failure(
          ErrorCode::busy, doing,
          fmt::format("the builder's image store ({} MiB, {} images) is full of images in "
                      "use: destroy a domain or try again later",
                      mib(budget_), max_images));
  reserved_[requester] += bytes;
  return Reservation(*this, requester, bytes);
}

ImageHandle ImageStore::add(const std::string& requester, const measure::Digests& digests,
                            std::uint64_t size, UniqueFd file) {
  ImageHandle& image = images_[digests.sha256];
  if (!image) {
    image = std::make_shared<Image>();
    image->digests = digests;
    image->size = size;
    image->file = std::move(file);
  }
  image->holders.insert(requester);
  image->last_use = ++uses_;
  return image;
}

ImageHandle ImageStore::find(const std::string& requester, const measure::Sha256& sha256) {
  const auto found = images_.find(sha256);
  if (found == images_.end() || !found->second->holders.contains(requester))
    return nullptr;
  found->second->last_use = ++uses_;
  return found->second;
}

std::vector<ImageHandle> ImageStore::held_by(const std::string& requester) const {
  std::vector<ImageHandle> held;
  for (const auto& [sha256, image] : images_)
    if (image->holders.contains(requester))
      held.push_back(image);
  return held;
}

std::vector<ImageHandle> ImageStore::all() const {
  std::vector<ImageHandle> images;
  for (const auto& [sha256, image] : images_)
    images.push_back(image);
  return images;
}

std::uint64_t ImageStore::used_bytes() const {
  std::uint64_t used = 0;
  for (const auto& [requester, bytes] : reserved_)
    used += bytes;
  for (const auto& [sha256, image] : images_)
    used += image->held_bytes();
  return used;
}

std::uint64_t ImageStore::used_bytes(const std::string& requester) const {
  const auto reserved = reserved_.find(requester);
  std::uint64_t used = reserved == reserved_.end() ? 0 : reserved->second;
  for (const auto& [sha256, image] : images_)
    if (image->holders.contains(requester))
      used += image->held_bytes();
  return used;
}

template <typename Condition>
std::map<measure::Sha256, ImageHandle>::iterator
ImageStore::least_used(const std::string* requester, Condition condition) {
  auto oldest = images_.end();
  for (auto i = images_.begin(); i != images_.end(); ++i) {
    if (!condition(i->second) || (requester && !i->second->holders.contains(*requester)))
      continue;
    if (oldest == images_.end() || i->second->last_use < oldest->second->last_use)
      oldest = i;
  }
  return oldest;
}

bool ImageStore::drop_one(const std::string* requester) {
  return drop_unpacked(requester) || drop_image(requester);
}

bool ImageStore::drop_unpacked(const std::string* requester) {
  // Pinned ones as well: a constructor under way has descriptors of its own, and a guest that runs
  // needs none until it reboots.
  const auto oldest = least_used(requester, [requester](const ImageHandle& image) {
    return image->inspected && image->inspected->plain &&
           (!requester || image->holders.size() == 1);
  });
  if (oldest == images_.end())
    return false;
  oldest->second->inspected.reset();
  return true;
}

bool ImageStore::drop_image(const std::string* requester) {
  const auto oldest =
      least_used(requester, [](const ImageHandle& image) { return image.use_count() == 1; });
  if (oldest == images_.end())
    return false;
  if (requester && oldest->second->holders.size() > 1) {
    oldest->second->holders.erase(*requester);
    return true;
  }
  dropped_.push_back(oldest->first);
  images_.erase(oldest);
  return true;
}

} // namespace ashlar::broker
