// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/init/fd_store.hpp"
#include "ashlar/init/kernel_parameters.hpp"
#include "ashlar/init/notify_socket.hpp"
#include "ashlar/init/process.hpp"
#include "ashlar/init/relay.hpp"
#include "ashlar/init/restart_limit.hpp"

namespace ashlar::init {

/// The builder's exit status when a domain that the boot manifest calls essential has ended.
inline constexpr int exit_essential_domain_ended = 10;

/// The services of the appliance: xenstored, xenconsoled, the builder and (debug images) a shell.
/// One thread, one loop. What happens when one ends:
///   xenstored    cannot be restarted, since every domain's connection is lost: power off;
///   xenconsoled  is restarted;
///   builder      with status 10: power off; after a stop: power off; else it is restarted after a
///                second with the descriptors that it stored, until RestartLimit says no: power
///                off;
///   shell        is restarted.
class Supervisor {
public:
  /// Starts the services. `signals` is a signalfd for SIGCHLD, SIGTERM, SIGINT and SIGPWR, which
  /// the caller has blocked. Errors: io, timeout (xenstored did not come up).
  [[nodiscard]] static Result<Supervisor> start(UniqueFd signals,
                                                const KernelParameters& parameters);

  /// Runs until the machine is to be powered off, and stops the services in order. Gives why.
  [[nodiscard]] std::string run();

private:
  struct Service {
    Program program;
    pid_t pid = 0;                          // 0: it does not run
    std::optional<std::int64_t> restart_at; // monotonic, ms
  };

  Supervisor(UniqueFd signals, NotifySocket notifications, Relay relay)
      : signals_(std::move(signals)), notifications_(std::move(notifications)),
        relay_(std::move(relay)) {}

  [[nodiscard]] Status start_service(Service& service);
  [[nodiscard]] Status start_builder();
  void read_signals();
  void reap();
  void service_ended(pid_t pid, int status);
  void builder_ended(int status);
  void restart_due(std::int64_t now_ms);
  void read_notifications();
  void obey(NotifyDatagram datagram);
  void tick(std::int64_t now_ms);
  void pass_on_relayed();
  void stop(Service& service, int timeout_ms);

  UniqueFd signals_;
  NotifySocket notifications_;
  Relay relay_;
  bool relaying_ = false;
  FdStore store_;
  RestartLimit builder_restarts_;
  Service xenstored_, xenconsoled_, builder_, shell_;
  std::int64_t next_tick_ms_ = 0;
  std::string why_stop_; // empty: go on
};

} // namespace ashlar::init
