// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-builder: wiring only. The engine is in broker.hpp.
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/broker/broker.hpp"
#include "ashlar/broker/child_process.hpp"
#include "ashlar/broker/version.hpp"

namespace {

using namespace ashlar;
using broker::EventLoop;

constexpr int lock_wait_seconds =
    60; // a killed predecessor's children end at once, Xen calls permitting

constexpr char usage[] =
    "usage: ashlar-builder [--config FILE] [--verbose]\n"
    "The builder domain's service: builds and measures Xen guests as its policy allows.\n"
    "  --config FILE  settings (default /etc/ashlar/builder.toml)\n"
    "  --verbose      log what libraries do, too\n"
    "  --version      print the version\n";

struct Options {
  std::string config = "/etc/ashlar/builder.toml";
  bool verbose = false;
};

/// SIGTERM and SIGINT stop, SIGHUP reloads the policy: as events of the loop, not as interrupts.
Result<UniqueFd> open_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP})
    sigaddset(&signals, signal);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0)
    return errno_failure("blocking signals");
  UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd)
    return errno_failure("opening a signalfd");
  return fd;
}

/// Its sockets are files, and its children's too: none of them has a use for a network. Left here
/// once, since it takes a millisecond, and the children inherit it.
Status leave_network() {
  if (unshare(CLONE_NEWNET) != 0)
    return errno_failure("leaving the network", "ashlar-builder has to be started by root");
  return {};
}

void handle_signals(int fd, EventLoop& loop, broker::Broker& broker) {
  signalfd_siginfo info{};
  while (read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGHUP)
      broker.reload_policy();
    else
      loop.stop(0);
  }
}

Result<int> run(const Options& options) {
  TRY(leave_network());
  broker::FdStore fd_store = broker::FdStore::from_environment();
  const broker::Settings settings = TRY(broker::read_settings(options.config));
  TRY(broker::check_places(settings));
  std::vector<broker::BootDomain> boot_domains;
  if (!settings.boot_manifest.empty())
    boot_domains = TRY(broker::read_boot_manifest(settings.boot_manifest));
  const broker::InstanceLock lock =
      TRY(broker::InstanceLock::take(settings.run_directory + "/lock", lock_wait_seconds));
  const UniqueFd signals = TRY(open_signals());
  broker::EventLoop loop;
  broker::Broker::Outside outside;
  outside.hypervisor = TRY(xen::open_hypervisor());
  outside.store = TRY(xen::open_store());
  outside.manager = std::ranges::any_of(boot_domains, &broker::BootDomain::tpm_manager)
                        ? broker::linked_tpm_manager(loop)
                        : broker::no_tpm_manager();
  outside.workshop = broker::make_workshop(loop, settings.libexec_directory, lock.descriptor());
  const std::unique_ptr<broker::Broker> broker =
      TRY(broker::Broker::start(loop, settings, std::move(outside), std::move(fd_store)));
  const auto signal_watch = loop.watch(
      signals.value(), POLLIN, [&](short) { handle_signals(signals.value(), loop, *broker); });
  log::notice("{} takes requests", broker::builder_version);
  broker->boot(boot_domains);
  const Result<int> status = loop.run();
  loop.forget(signal_watch);
  return status;
}

std::string wrong_usage(std::string_view argument) {
  const std::string fault = argument == "--config"
                                ? "--config must be followed by a file"
                                : fmt::format("there is no argument \"{}\"", printable(argument));
  return fmt::format("ashlar-builder: {}\n{}", fault, usage);
}

bool print(int descriptor, const std::string& text) {
  return write(descriptor, text.data(), text.size()) >= 0;
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--config" && i + 1 < argc) {
      options.config = argv[++i];
    } else if (argument == "--verbose") {
      options.verbose = true;
    } else if (argument == "--help" || argument == "--version") {
      return print(STDOUT_FILENO, argument == "--help"
                                      ? std::string(usage)
                                      : std::string(broker::builder_version) + "\n")
                 ? 0
                 : 2;
    } else {
      print(STDERR_FILENO, wrong_usage(argument));
      return 2;
    }
  }
  if (options.verbose)
    setenv(broker::log_level_variable, "debug", 1);
  log::start("ashlar-builder", options.verbose ? log::Level::debug : log::Level::info);
  // A peer that hangs up is an error value of write(2), not a signal.
  signal(SIGPIPE, SIG_IGN);
  const Result<int> status = run(options);
  if (status)
    return *status;
  log::error("{}", status.error().message());
  return 1;
}
