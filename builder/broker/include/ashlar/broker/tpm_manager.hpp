// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>

#include "ashlar/broker/event_loop.hpp"
#include "ashlar/tpm/binding.hpp"
#include "ashlar/tpm/manager_link.hpp"

namespace ashlar::broker {

/// Where measurement records belong before their domains may run. An interface so that unit tests
/// can delay and refuse.
class TpmManager {
public:
  using Done = tpm::ManagerLink::Done;
  using IdentityDone = tpm::ManagerLink::IdentityDone;
  virtual ~TpmManager() = default;

  /// Is there one? Without one the journal alone keeps the records, and no guest has a vTPM.
  [[nodiscard]] virtual bool present() const = 0;
  /// The manager runs in this domain: requests go there, those that wait already too.
  virtual void runs_in(std::uint32_t domid) = 0;

  // Each calls `done` once: with the acknowledgement, or with an error; possibly before it returns.
  // tpm::ManagerLink says what the errors are. An empty `done` is fine.

  /// The domain may run only after the acknowledgement.
  virtual void put(const measure::Record& record, Done done) = 0;
  virtual void bind(const tpm::Binding& binding, Done done) = 0;
  /// Goes on after a time-out until it is done.
  virtual void revoke(std::uint64_t serial, Done done) = 0;
  /// What the hardware PCR holds.
  virtual void query(Done done) = 0;
  /// Which TPM it is, and what it measured.
  virtual void identify(IdentityDone done) = 0;
};

/// No manager: records and revocations need nobody else, all else is refused (unsupported).
[[nodiscard]] std::unique_ptr<TpmManager> no_tpm_manager();

/// A manager in a domain of its own, over vchan. The loop must outlive it.
[[nodiscard]] std::unique_ptr<TpmManager> linked_tpm_manager(EventLoop& loop);

} // namespace ashlar::broker
