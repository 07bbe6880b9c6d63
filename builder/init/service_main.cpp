// SPDX-License-Identifier: LGPL-2.1-or-later
// Process 1 of a domain with one program and no shell: the TPM Manager's, and each vTPM's.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "ashlar/base/log.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/init/modules.hpp"
#include "ashlar/init/mounts.hpp"
#include "ashlar/init/power.hpp"
#include "ashlar/init/process.hpp"
#include "ashlar/init/restart_limit.hpp"
#include "ashlar/init/service.hpp"

namespace {

using namespace ashlar;

constexpr const char* module_list = "/etc/ashlar/modules";
constexpr const char* service_file = "/etc/ashlar/service";
constexpr std::uint64_t max_service_bytes = 4096;
constexpr unsigned restart_delay_seconds = 1;

std::int64_t monotonic_ms() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

/// Waits for the program's end, and buries every other orphan meanwhile.
Result<int> wait_for(pid_t program) {
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, 0);
    if (ended == program)
      return status;
    if (ended < 0 && errno != EINTR)
      return errno_failure("waiting for the service");
  }
}

/// Sets the domain up and runs its program as often as it may. Returns when there is nothing left.
Status run() {
  TRY(init::mount_file_systems());
  TRY(init::load_modules(module_list));
  TRY(init::mount_xenfs());
  const std::string text = TRY(read_file(service_file, max_service_bytes));
  const init::Service service = TRY(init::parse_service(text, service_file));
  init::RestartLimit limit;
  do {
    const pid_t program = TRY(init::start({.arguments = service.arguments,
                                           .environment = {"PATH=/usr/sbin:/usr/bin"},
                                           .descriptors = {},
                                           .terminal = {}}));
    const int status = TRY(wait_for(program));
    if (WIFSIGNALED(status))
      log::error("{} was ended by signal {}", service.arguments.front(), WTERMSIG(status));
    else
      log::notice("{} ended with status {}", service.arguments.front(), WEXITSTATUS(status));
    if (service.at_end == init::ServiceEnd::power_off)
      return {};
    ::sleep(restart_delay_seconds);
  } while (limit.allow(monotonic_ms()));
  return failure(ErrorCode::limit, "restarting " + service.arguments.front(),
                 "it ended too often in too short a time");
}

} // namespace

int main() {
  log::start("ashlar-service-init");
  if (::getpid() != 1) {
    log::error("starting: this program boots a service domain and must be process 1");
    return 2;
  }
  if (const Status ended = run(); !ended)
    log::error("{}", ended.error().message());
  init::power_off();
}
