// SPDX-License-Identifier: LGPL-2.1-or-later
// The broker's kinds of children: inspectors and verifiers (parse, without privilege), and
// constructors (build).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/broker/event_loop.hpp"
#include "ashlar/broker/image_store.hpp"
#include "ashlar/constructor/plan.hpp"
#include "ashlar/inspector/signatures.hpp"
#include "ashlar/policy/policy.hpp"

namespace ashlar::broker {

/// What the verifier is to look at.
struct SignatureQuery {
  const Image* look_inside = nullptr; // null: nothing is looked for inside an image
  struct Brought {
    std::string label; // of the image, for messages
    inspector::BroughtSignature signature;
  };
  std::vector<Brought> brought; // signatures that came with the request
};

/// The policy's names of the certificates that have signed.
struct FoundSigners {
  std::vector<std::string> inside; // empty for an image without a signature, or with a broken one
  std::optional<measure::Sha256> authenticode;   // none: it was no PE image, or nobody looked
  std::vector<std::vector<std::string>> brought; // as in the query; none of them is empty
};

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

  using Verified = std::function<void(Result<FoundSigners>)>;
  /// Looks at signatures in a fresh sandbox: inside a sealed image, or detached. Errors in the
  /// callback: timeout; invalid (the verifier was killed, or its report makes no sense); of a
  /// signature that came with the request: whatever is wrong with it, and denied when no
  /// certificate of the policy vouches for its signer.
  [[nodiscard]] virtual Result<std::unique_ptr<Job>>
  verify(const SignatureQuery& query, const policy::Signers& signers, Verified done) = 0;

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
