// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <set>

#include "ashlar/broker/restart_limit.hpp"
#include "ashlar/broker/services.hpp"

namespace ashlar::broker {

/// What happens when domains stop by themselves, or are ended by somebody else.
class Lifecycle {
public:
  explicit Lifecycle(Services& services) : services_(services) {}
  Lifecycle(const Lifecycle&) = delete;
  Lifecycle& operator=(const Lifecycle&) = delete;
  ~Lifecycle() { services_.loop.forget(again_); }

  /// Looks at every domain: to be called when xenstore reports "@releaseDomain".
  void check();

private:
  void check(std::uint32_t domid);
  /// A guest with a vTPM and that vTPM: neither stays without the other.
  void check_partner(std::uint32_t domid);
  void stopped(const Domain& domain, xen::ShutdownReason reason);
  void end(const Domain& domain, const std::string& why);
  void restart(const Domain& domain);
  void runs_again(const Domain& built);
  void ended_for_good(bool essential, const std::string& name);
  /// Nobody would tell of this domain once more: it is looked at again after a while. Logs the
  /// error the first time.
  void try_later(const Domain& domain, const Error& error);

  Services& services_;
  std::set<std::uint64_t> preserved_; // serials: said so in the log once
  std::set<std::uint64_t> failing_;   // serials of domains that could not be ended, likewise
  EventLoop::Id again_ = 0;
  RestartLimit limit_;
};

} // namespace ashlar::broker
