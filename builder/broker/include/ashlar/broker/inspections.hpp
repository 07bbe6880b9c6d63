// SPDX-License-Identifier: LGPL-2.1-or-later
// Kernels become what is loaded: when a build needs it, or ahead of that.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/broker/image_store.hpp"
#include "ashlar/broker/workshop.hpp"

namespace ashlar::broker {

/// Has held kernels inspected, each once, and keeps the outcome with the image.
///
/// A kernel that the policy approves is inspected as soon as it is held, so that the first guest of
/// it is built as quickly as the second. That is a favour: there is one at a time, it gives way to
/// builds, and what it unpacks is dropped before anything else when room is needed.
class Inspections {
public:
  using Done = std::function<void(Status)>;

  Inspections(Workshop& workshop, ImageStore& images) : workshop_(workshop), images_(images) {}
  Inspections(const Inspections&) = delete;
  Inspections& operator=(const Inspections&) = delete;

  /// For a build. After success `kernel` has its `inspected`; `done` is called later, never from
  /// inside this call, and not after the Job was destroyed. What prepare() has begun on the same
  /// image is waited for. Errors, here or in the callback: those of Workshop::inspect.
  [[nodiscard]] Result<std::unique_ptr<Job>> inspect(const ImageHandle& kernel, Done done);

  /// Ahead of builds, while none is under way. Nobody hears of an image that is refused: its first
  /// build will say so.
  void prepare(const ImageHandle& image);

  /// A build begins, whose kernel this is (null: it is not held yet): what nobody waits for is
  /// given up, so that it takes no processor from the build.
  void give_way(const ImageHandle& kernel);

private:
  class Waiting;
  struct Preparation {
    ImageHandle image;
    std::unique_ptr<Job> job;
    std::vector<std::weak_ptr<Done>> waiting; // builds
    [[nodiscard]] bool awaited() const;
  };
  void prepared(Result<InspectedKernel> kernel);

  Workshop& workshop_;
  ImageStore& images_;
  std::optional<Preparation> preparation_;
};

} // namespace ashlar::broker
