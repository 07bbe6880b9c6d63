// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/broker/lifecycle.hpp"
#include "ashlar/broker/services.hpp"
#include "ashlar/broker/sessions.hpp"
#include "ashlar/broker/vtpms.hpp"
#include "ashlar/broker/workshop.hpp"

namespace ashlar::broker {

/// The builder's engine, put together from its parts. What touches the outside (hypervisor,
/// xenstore, children) is handed in, so that tests can run all of the rest for real.
class Broker {
public:
  struct Outside {
    std::unique_ptr<xen::Hypervisor> hypervisor;
    std::unique_ptr<xen::Store> store;
    std::unique_ptr<Workshop> workshop;
    std::unique_ptr<TpmManager> manager;
  };

  /// Loads the policy, reads the journal, recovers, watches xenstore and opens the Unix socket.
  /// `loop` and `settings` must outlive the broker. Errors: whatever of these fails; the builder
  /// must not run without any of them.
  [[nodiscard]] static Result<std::unique_ptr<Broker>>
  start(EventLoop& loop, const Settings& settings, Outside outside, FdStore fd_store);
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;
  ~Broker();

  /// Starts the boot manifest's domains that do not exist yet.
  void boot(const std::vector<BootDomain>& domains);
  /// SIGHUP: reads the policy anew.
  void reload_policy();

private:
  Broker(EventLoop& loop, const Settings& settings, Outside outside, FdStore fd_store,
         Journal journal, std::uint64_t next_serial);
  [[nodiscard]] Status watch_store();
  void store_ready();

  EventLoop& loop_;
  Outside outside_;
  FdStore fd_store_;
  Journal journal_;
  PolicyHolder policy_;
  ImageStore images_;
  Devices devices_;
  Domains domains_;
  Inspections inspections_;
  Builds builds_;
  Services services_;
  Lifecycle lifecycle_;
  Vtpms vtpms_; // outlives the sessions, which give up what they have under way when they end
  Sessions sessions_;
  EventLoop::Id store_watch_ = 0;
};

} // namespace ashlar::broker
