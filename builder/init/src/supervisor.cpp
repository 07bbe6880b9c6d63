// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/supervisor.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/init/console_logs.hpp"
#include "ashlar/init/mounts.hpp"
#include "ashlar/init/xenstore_nodes.hpp"

namespace ashlar::init {

namespace {

constexpr const char* notify_path = "/run/ashlar/notify";
constexpr const char* debug_marker = "/bin/busybox"; // only debug images hold it
constexpr int xenstored_timeout_ms = 30'000;
constexpr int builder_stop_ms = 10'000;
constexpr int service_stop_ms = 2'000;
constexpr std::int64_t restart_delay_ms = 1'000;
constexpr std::int64_t tick_ms = 1'000;
constexpr std::int64_t relay_tick_ms = 200; // a person reads along

const std::string path_variable = "PATH=/usr/sbin:/usr/bin";

std::int64_t monotonic_ms() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

/// The one that the image holds; of both, the one whose work for a message does not grow with the
/// number of domains (docs/decisions/0015-oxenstored.md). Debian prefers it, too.
Program xenstored_program() {
  constexpr const char* preferred = "/usr/lib/xen/bin/oxenstored";
  const bool there = ::access(preferred, X_OK) == 0;
  return {{there ? preferred : "/usr/lib/xen/bin/xenstored", "--no-fork"}, {path_variable}, {}, {}};
}

Program xenconsoled_program() {
  return {{"/usr/lib/xen/bin/xenconsoled", "-i", "--log=guest",
           fmt::format("--log-dir={}", console_log_directory)},
          {path_variable},
          {},
          {}};
}

Program builder_program() {
  return {{"/usr/sbin/ashlar-builder", "--config", "/etc/ashlar/builder.toml"}, {}, {}, {}};
}

Program shell_program(const std::string& tty) {
  return {{debug_marker, "sh"}, {path_variable, "TERM=dumb", "HOME=/root"}, {}, "/dev/" + tty};
}

std::string describe(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("was ended by signal {}", WTERMSIG(status));
  return fmt::format("ended with status {}", WEXITSTATUS(status));
}

} // namespace

Result<Supervisor> Supervisor::start(UniqueFd signals, const KernelParameters& parameters) {
  NotifySocket notifications = TRY(NotifySocket::bind(notify_path));
  Relay relay(parameters.relay,
              fmt::format("{}/guest-{}.log", console_log_directory, parameters.relay));
  Supervisor supervisor(std::move(signals), std::move(notifications), std::move(relay));
  supervisor.relaying_ = !parameters.relay.empty();
  const bool debug_image = ::access(debug_marker, X_OK) == 0;
  if (debug_image && !parameters.shell.empty()) {
    supervisor.shell_.program = shell_program(parameters.shell);
    TRY(supervisor.start_service(supervisor.shell_));
  }
  supervisor.xenstored_.program = xenstored_program();
  TRY(supervisor.start_service(supervisor.xenstored_));
  TRY(prepare_xenstore(xenstored_timeout_ms));
  supervisor.xenconsoled_.program = xenconsoled_program();
  TRY(supervisor.start_service(supervisor.xenconsoled_));
  if (!debug_image || !parameters.builder_by_hand)
    TRY(supervisor.start_builder());
  return supervisor;
}

Status Supervisor::start_service(Service& service) {
  service.restart_at.reset();
  service.pid = TRY(init::start(service.program));
  log::info("started {} (process {})", service.program.arguments.front(), service.pid);
  return {};
}

Status Supervisor::start_builder() {
  builder_.program = builder_program();
  Program& program = builder_.program;
  program.environment = {path_variable, fmt::format("NOTIFY_SOCKET={}", notify_path)};
  program.descriptors = store_.descriptors();
  if (!program.descriptors.empty()) {
    program.environment.push_back(fmt::format("LISTEN_FDS={}", program.descriptors.size()));
    program.environment.push_back("LISTEN_FDNAMES=" + store_.names());
  }
  return start_service(builder_);
}

std::string Supervisor::run() {
  log::info("the appliance is up");
  while (why_stop_.empty()) {
    std::array<pollfd, 2> waits{pollfd{signals_.value(), POLLIN, 0},
                                pollfd{notifications_.descriptor(), POLLIN, 0}};
    const std::int64_t now = monotonic_ms();
    const auto wait = static_cast<int>(std::max<std::int64_t>(0, next_tick_ms_ - now));
    if (::poll(waits.data(), waits.size(), wait) < 0 && errno != EINTR)
      return "waiting for events failed";
    // Before the signals: what the builder stored just before it ended is for its successor.
    read_notifications();
    read_signals();
    tick(monotonic_ms());
  }
  stop(builder_, builder_stop_ms);
  stop(xenconsoled_, service_stop_ms);
  pass_on_relayed();
  stop(xenstored_, service_stop_ms);
  return why_stop_;
}

void Supervisor::read_signals() {
  signalfd_siginfo info = {};
  while (::read(signals_.value(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo != SIGCHLD)
      why_stop_ = fmt::format("signal {} asked for it", info.ssi_signo);
  }
  reap();
}

void Supervisor::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;)
    service_ended(pid, status);
}

void Supervisor::service_ended(pid_t pid, int status) {
  if (pid == builder_.pid)
    return builder_ended(status);
  for (Service* service : {&xenstored_, &xenconsoled_, &shell_}) {
    if (service->pid != pid)
      continue;
    service->pid = 0;
    log::warning("{} {}", service->program.arguments.front(), describe(status));
    if (service == &xenstored_)
      why_stop_ = "xenstored ended, and every domain has lost its connection to it";
    else
      service->restart_at = monotonic_ms() + restart_delay_ms;
  }
}

void Supervisor::builder_ended(int status) {
  builder_.pid = 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) == exit_essential_domain_ended) {
    why_stop_ = "an essential domain ended";
    return;
  }
  log::error("the builder {}; its guests go on running", describe(status));
  const std::int64_t now = monotonic_ms();
  if (builder_restarts_.allow(now))
    builder_.restart_at = now + restart_delay_ms;
  else
    why_stop_ = fmt::format("the builder ended {} times within {} s", max_restarts + 1,
                            restart_window_ms / 1000);
}

void Supervisor::restart_due(std::int64_t now_ms) {
  for (Service* service : {&xenconsoled_, &builder_, &shell_}) {
    if (!service->restart_at || *service->restart_at > now_ms)
      continue;
    const Status done = service == &builder_ ? start_builder() : start_service(*service);
    if (!done) {
      log::error("{}", done.error().message());
      service->restart_at = now_ms + restart_delay_ms;
    }
  }
}

void Supervisor::read_notifications() {
  while (true) {
    Result<std::optional<NotifyDatagram>> got = notifications_.receive();
    if (!got) {
      log::warning("{}", got.error().message());
      return;
    }
    if (!*got)
      return;
    obey(std::move(**got));
  }
}

void Supervisor::obey(NotifyDatagram datagram) {
  if (datagram.sender != builder_.pid || builder_.pid == 0) {
    log::warning("a notification from process {} was dropped: only the builder's count",
                 datagram.sender);
    return;
  }
  const Notification& said = datagram.notification;
  if (said.ready)
    log::info("the builder is ready");
  if (!said.status.empty())
    log::info("the builder says: {}", printable(said.status));
  if (said.remove)
    store_.remove(said.descriptor_name);
  if (!said.store)
    return;
  for (UniqueFd& fd : datagram.descriptors) {
    const Status kept = store_.add(std::move(fd), said.descriptor_name);
    if (!kept)
      log::error("{}", kept.error().message());
  }
}

void Supervisor::tick(std::int64_t now_ms) {
  restart_due(now_ms);
  if (now_ms < next_tick_ms_)
    return;
  next_tick_ms_ = now_ms + (relaying_ ? relay_tick_ms : tick_ms);
  pass_on_relayed();
  if (const Status capped = cap_console_logs(console_log_directory); !capped)
    log::warning("{}", capped.error().message());
}

void Supervisor::pass_on_relayed() {
  if (!relaying_)
    return;
  const std::string lines = relay_.next_lines();
  if (const Status written = write_all(STDOUT_FILENO, as_bytes(lines), "the console"); !written)
    log::warning("{}", written.error().message());
}

void Supervisor::stop(Service& service, int timeout_ms) {
  constexpr int step_ms = 20;
  if (service.pid == 0)
    return;
  ::kill(service.pid, SIGTERM);
  for (int waited = 0; waited < timeout_ms; waited += step_ms) {
    if (::waitpid(service.pid, nullptr, WNOHANG) != 0)
      return;
    ::usleep(step_ms * 1000);
  }
  log::warning("{} did not stop within {} ms and is killed", service.program.arguments.front(),
               timeout_ms);
  ::kill(service.pid, SIGKILL);
  ::waitpid(service.pid, nullptr, 0);
}

} // namespace ashlar::init
