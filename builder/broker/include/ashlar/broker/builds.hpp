// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/broker/domains.hpp"
#include "ashlar/broker/inspections.hpp"
#include "ashlar/broker/workshop.hpp"
#include "ashlar/policy/policy.hpp"

namespace ashlar::broker {

/// Gives guests their vTPMs.
class VtpmProvider {
public:
  using Stage = std::function<void(const char* stage)>;
  using Done = std::function<void(Status)>;
  virtual ~VtpmProvider() = default;
  /// For a guest that is paused and whose record is acknowledged: when `done` is called with
  /// success, later, its vTPM has extended the record. After an error nothing is to be tidied up
  /// but the guest: Domains::destroy takes the vTPM with it.
  virtual void provide(const Domain& guest, Stage stage, Done done) = 0;
  /// The guest of this record is given up: `done` is not called any more.
  virtual void give_up(std::uint64_t guest_serial) = 0;
};

/// A decision that depends on who has signed the images: it falls in the build, under the policy
/// that the request began with.
struct OpenDecision {
  std::shared_ptr<const policy::Policy> policy; // null: the request is approved already
  std::function<policy::Decision(const Domain& draft)> ask = {}; // with the facts of now
  std::function<void(const policy::Decision&)> refused = {};     // called in place of `done`
  /// Called in place of building: nobody wants more than the answer. May be empty.
  std::function<void()> only_allowed = {};
};

/// Takes approved requests from "inspect" to "running", a few at a time:
///
///   queue → verify (sandboxed child; where the policy asks for signatures)
///         → inspect (sandboxed child) → construct (child) → record (journal, TPM Manager)
///         → devices (nodes, and their backends' word)
///         → vtpm (a domain of its own, built by the same steps) → start
///
/// A build that fails or is cancelled anywhere leaves no domain behind.
class Builds {
public:
  using Id = std::uint64_t;
  using Stage = std::function<void(const char* stage)>;
  using Done = std::function<void(Result<const Domain*>)>; // the pointer is valid during the call

  Builds(Workshop& workshop, Inspections& inspections, Domains& domains, Journal& journal,
         TpmManager& manager, Devices& devices, std::string builder_identity,
         std::uint64_t next_serial)
      : workshop_(workshop), inspections_(inspections), domains_(domains), journal_(journal),
        manager_(manager), devices_(devices), identity_(std::move(builder_identity)),
        next_serial_(next_serial) {}

  /// Where guests get their vTPMs; to be set before the first build, and to outlive the last.
  void set_vtpms(VtpmProvider* vtpms) { vtpms_ = vtpms; }

  /// Whether one more request of this requester may be queued, for a guest or for an answer alone
  /// (`dry_run`). What the builder owes is not asked: a guest's restart, its vTPM, the boot
  /// manifest's domains; there are no more of them than domains. Errors: busy.
  [[nodiscard]] Status check_queue(const std::string& requester, bool dry_run) const;

  /// Queues a build. `draft` has everything but the serial, domid and events of its record; policy
  /// has approved it, or `decision` is open. The callbacks are called later, never from inside this
  /// call.
  Id submit(Domain draft, Stage stage, Done done, OpenDecision decision = {});

  /// Starts what may start. To be called from the event loop after submit() and after callbacks.
  void advance();

  /// Gives a build up: its children are killed, what they left is removed, `done` is not called.
  void cancel(Id id);

  /// Nothing is queued or being built.
  [[nodiscard]] bool idle() const { return builds_.empty(); }

  /// Drafts that are queued or being built and are no domains of the table yet: they count in
  /// quotas and occupy their names and memory. What only wants an answer is not among them.
  [[nodiscard]] std::vector<const Domain*> drafts() const;

private:
  struct Build {
    Domain draft;
    Stage stage;
    Done done;
    OpenDecision decision;
    std::unique_ptr<Job> job;
    bool running = false;
    std::uint32_t domid = 0; // from the constructor on
    [[nodiscard]] const std::string& policy_digest() const { return decision.policy->digest(); }
  };
  [[nodiscard]] bool may_start(Id id) const;
  void start(Id id);
  void decide(Id id);
  /// Starts the verifier on what is not verified yet: first on signatures that came with the
  /// request, and on the kernel only if the decision still depends on it.
  [[nodiscard]] Status verify(Id id, Build& build);
  void verified(Id id, Result<FoundSigners> found);
  void refuse(Id id, const policy::Decision& decision);
  void inspect(Id id);
  void construct(Id id);
  void inspected(Id id, const Status& outcome);
  void constructed(Id id, Result<std::uint32_t> domid);
  [[nodiscard]] Status record(Id id, Build& build);
  void recorded(Id id, const Result<tpm::Ack>& ack);
  void attach(Id id, Build& build);
  void attached(Id id, const Status& outcome);
  void measured(Id id, const Status& outcome);
  [[nodiscard]] Status admit_and_start(const Build& build);
  [[nodiscard]] Status plan_and_construct(Id id, Build& build);
  void fail(Id id, Error error);
  /// Removes what a build with this draft may have left, and says so in the journal.
  void clean_up(const Domain& draft);

  Workshop& workshop_;
  Inspections& inspections_;
  Domains& domains_;
  Journal& journal_;
  TpmManager& manager_;
  Devices& devices_;
  VtpmProvider* vtpms_ = nullptr;
  std::string identity_;
  std::uint64_t next_serial_;
  Id next_id_ = 1;
  std::map<Id, Build> builds_;
  std::deque<Id> queue_;
};

} // namespace ashlar::broker
