// SPDX-License-Identifier: LGPL-2.1-or-later
// Process 1 of the appliance.
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "ashlar/base/log.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/init/modules.hpp"
#include "ashlar/init/mounts.hpp"
#include "ashlar/init/power.hpp"
#include "ashlar/init/supervisor.hpp"

namespace {

using namespace ashlar;

constexpr const char* module_list = "/etc/ashlar/modules";
constexpr std::uint64_t max_command_line_bytes = 4096;
constexpr rlim_t open_files = 4096; // stored descriptors, vchans and images, with room to spare

Result<UniqueFd> receive_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGPWR})
    sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd)
    return errno_failure("asking for signals as a descriptor");
  return fd;
}

Status raise_file_limit() {
  const rlimit limit{open_files, open_files};
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    return errno_failure("raising the limit on open files");
  return {};
}

/// Boots and runs the appliance. Gives why it ended.
Result<std::string> run() {
  UniqueFd signals = TRY(receive_signals());
  TRY(init::mount_file_systems());
  TRY(init::load_modules(module_list));
  TRY(init::mount_xenfs());
  TRY(raise_file_limit());
  const std::string command_line = TRY(read_file("/proc/cmdline", max_command_line_bytes));
  init::Supervisor supervisor =
      TRY(init::Supervisor::start(std::move(signals), init::parse_kernel_parameters(command_line)));
  return supervisor.run();
}

} // namespace

int main() {
  log::start("ashlar-init");
  if (::getpid() != 1) {
    log::error("starting: this program boots the appliance and must be process 1");
    return 2;
  }
  const Result<std::string> ended = run();
  if (ended)
    log::notice("stopping: {}", *ended);
  else
    log::error("stopping: {}", ended.error().message());
  init::power_off();
}
