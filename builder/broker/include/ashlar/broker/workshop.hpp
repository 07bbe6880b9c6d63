// SPDX-License-Identifier: LGPL-2.1-or-later
// The broker's kinds of children: inspectors and verifiers (parse, without privilege), and
// constructors (build).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/broker/event_loop.hpp"
#include "ashlar/broker/image_store.hpp"
#include "ashlar/constructor/plan.hpp"
#include "ashlar/policy/policy.hpp"

namespace ashlar::broker {

/// A piece of work under way. Destroying it kills the child; its callback is then never called.
class Job {
public:
  virtual ~Job() = default;
};

/// An interface so that the broker's unit tests can build without Xen; the real one starts
/// processes.
class Workshop {
public:
  virtual ~Workshop() = default;

  using Inspected = std::function<void(Result<InspectedKernel>)>;
  /// Inspects a sealed kernel image in a fresh sandbox. Errors in the callback: whatever the
  /// inspector refused; timeout; internal (it was killed, or its report makes no sense).
  [[nodiscard]] virtual Result<std::unique_ptr<Job>> inspect(const Image& kernel,
                                                             Inspected done) = 0;

  using Verified = std::function<void(Result<std::vector<std::string>>)>;
  /// Looks in a fresh sandbox for signatures inside a sealed image and gives the names of the
  /// certificates that have signed it: none when it has no signature, or a broken one. Errors in
  /// the callback: timeout; internal (the verifier was killed, or its report makes no sense).
  [[nodiscard]] virtual Result<std::unique_ptr<Job>>
  verify(const Image& image, const policy::Signers& signers, Verified done) = 0;

  using Constructed = std::function<void(Result<std::uint32_t>)>;
  /// Builds a domain as planned and gives its domid; it is paused. After an error in the callback
  /// (or after the Job was destroyed) a half-built domain with the plan's UUID may be left: the
  /// caller removes it.
  [[nodiscard]] virtual Result<std::unique_ptr<Job>> construct(const constructor::Plan& plan,
                                                               int kernel,
                                                               const std::vector<int>& initrds,
                                                               Constructed done) = 0;
};

/// `libexec` holds ashlar-inspector, ashlar-verifier and ashlar-constructor; `lock_fd` see
/// InstanceLock.
[[nodiscard]] std::unique_ptr<Workshop> make_workshop(EventLoop& loop, std::string libexec,
                                                      int lock_fd);

} // namespace ashlar::broker
