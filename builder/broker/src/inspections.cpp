// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/inspections.hpp"

#include <algorithm>
#include <utility>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/broker/limits.hpp"

namespace ashlar::broker {

/// A build's part in a preparation: with it goes its callback.
class Inspections::Waiting final : public Job {
public:
  explicit Waiting(std::shared_ptr<Done> done) : done_(std::move(done)) {}

private:
  std::shared_ptr<Done> done_;
};

bool Inspections::Preparation::awaited() const {
  return std::ranges::any_of(waiting, [](const auto& build) { return !build.expired(); });
}

Result<std::unique_ptr<Job>> Inspections::inspect(const ImageHandle& kernel, Done done) {
  if (preparation_ && preparation_->image == kernel) {
    auto shared = std::make_shared<Done>(std::move(done));
    preparation_->waiting.push_back(shared);
    return std::make_unique<Waiting>(std::move(shared));
  }
  return workshop_.inspect(*kernel, [kernel, done = std::move(done)](auto outcome) {
    if (outcome && !kernel->inspected)
      kernel->inspected = std::move(*outcome);
    done(outcome ? Status() : std::unexpected(std::move(outcome).error()));
  });
}

void Inspections::give_way(const ImageHandle& kernel) {
  if (preparation_ && preparation_->image != kernel && !preparation_->awaited())
    preparation_.reset();
}

void Inspections::prepare(const ImageHandle& image) {
  if (preparation_ || image->inspected || image->refused_ahead || image->size > max_kernel_bytes)
    return;
  preparation_.emplace(image, nullptr, std::vector<std::weak_ptr<Done>>());
  Result<std::unique_ptr<Job>> job =
      workshop_.inspect(*image, [this](auto outcome) { prepared(std::move(outcome)); });
  if (job)
    preparation_->job = std::move(*job);
  else
    preparation_.reset();
}

void Inspections::prepared(Result<InspectedKernel> kernel) {
  const Preparation preparation = std::move(*std::exchange(preparation_, std::nullopt));
  const bool awaited = preparation.awaited();
  Image& image = *preparation.image;
  image.refused_ahead = !kernel;
  if (!kernel)
    log::debug("image {} is not a kernel that could be built: {}", to_hex(image.digests.sha256),
               kernel.error().message());
  else if (!image.inspected)
    image.inspected = std::move(*kernel);
  // Nothing else has to go for what nobody has asked for yet.
  if (!awaited && images_.overfull())
    image.inspected.reset();
  for (const std::weak_ptr<Done>& waiting : preparation.waiting)
    if (const std::shared_ptr<Done> done = waiting.lock())
      (*done)(kernel ? Status() : std::unexpected(kernel.error()));
}

} // namespace ashlar::broker
