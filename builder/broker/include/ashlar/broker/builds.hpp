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
#include "ashlar/broker/workshop.hpp"

namespace ashlar::broker {

/// Takes approved requests from "inspect" to "running", a few at a time:
///
///   queue → inspect (sandboxed child) → construct (child) → record → start
///
/// A build that fails or is cancelled anywhere leaves no domain behind.
class Builds {
public:
  using Id = std::uint64_t;
  using Stage = std::function<void(const char* stage)>;
  using Done = std::function<void(Result<const Domain*>)>; // the pointer is valid during the call

  Builds(Workshop& workshop, Domains& domains, Journal& journal, std::string builder_identity,
         std::uint64_t next_serial)
      : workshop_(workshop), domains_(domains), journal_(journal),
        identity_(std::move(builder_identity)), next_serial_(next_serial) {}

  /// Queues a build. `draft` has everything but the serial, domid and events of its record; policy
  /// has approved it. The callbacks are called later, never from inside this call. Errors: busy.
  [[nodiscard]] Result<Id> submit(Domain draft, Stage stage, Done done);

  /// Starts what may start. To be called from the event loop after submit() and after callbacks.
  void advance();

  /// Gives a build up: its children are killed, what they left is removed, `done` is not called.
  void cancel(Id id);

  /// Drafts that are queued or being built: they count in quotas and occupy their names.
  [[nodiscard]] std::vector<const Domain*> drafts() const;

private:
  struct Build {
    Domain draft;
    Stage stage;
    Done done;
    std::unique_ptr<Job> job;
    bool running = false;
  };
  void start(Id id);
  void construct(Id id);
  void inspected(Id id, Result<InspectedKernel> kernel);
  void constructed(Id id, Result<std::uint32_t> domid);
  [[nodiscard]] Status record_and_start(Build& build, std::uint32_t domid);
  [[nodiscard]] Status plan_and_construct(Id id, Build& build);
  void fail(Id id, Error error);
  /// Removes what a build with this draft may have left, and says so in the journal.
  void clean_up(const Domain& draft);

  Workshop& workshop_;
  Domains& domains_;
  Journal& journal_;
  std::string identity_;
  std::uint64_t next_serial_;
  Id next_id_ = 1;
  std::map<Id, Build> builds_;
  std::deque<Id> queue_;
};

} // namespace ashlar::broker
