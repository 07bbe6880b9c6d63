// SPDX-License-Identifier: LGPL-2.1-or-later
#include "confinement.hpp"

#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <limits>

namespace ashlar::constructor {

namespace {
Status drop_capabilities() {
  // Beyond the last capability that this kernel knows, the call fails with EINVAL.
  for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0;)
    capability++;
  if (errno != EINVAL)
    return errno_failure("dropping capabilities for ever");
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capset, &header, none) != 0)
    return errno_failure("dropping capabilities");
  return {};
}
} // namespace

Status die_with_parent(int parent, int report_fd) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    return errno_failure("asking to die with the builder");
  // The builder may have died before the call. Then this process has another parent, and when that
  // happened even before main() began, the pipe has no reader.
  pollfd pipe = {.fd = report_fd, .events = 0, .revents = 0};
  if (getppid() != parent || poll(&pipe, 1, 0) < 0 || (pipe.revents & (POLLERR | POLLNVAL)) != 0)
    return failure(ErrorCode::cancelled, "starting the build", "the builder is gone already");
  return {};
}

Status close_from(int first) {
  if (close_range(static_cast<unsigned>(first), std::numeric_limits<unsigned>::max(), 0) != 0)
    return errno_failure("closing inherited descriptors");
  return {};
}

Status confine() {
  const rlimit no_core = {.rlim_cur = 0, .rlim_max = 0};
  if (setrlimit(RLIMIT_CORE, &no_core) != 0)
    return errno_failure("switching core dumps off");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return errno_failure("giving up new privileges");
  return drop_capabilities();
}

} // namespace ashlar::constructor
