// SPDX-License-Identifier: LGPL-2.1-or-later
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <limits>
#include <string>

#include <fmt/format.h>

#include "layers.hpp"

namespace ashlar::inspector {

namespace {

constexpr unsigned nobody = 65534;

// No PID namespace: it would only hold children, and the filter allows none.
constexpr int namespaces =
    CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWCGROUP;

Status close_descriptors(unsigned first, unsigned last) {
  if (close_range(first, last, 0) != 0)
    return errno_failure(fmt::format("closing the descriptors {} to {}", first, last));
  return {};
}

/// Capabilities that a later execve could otherwise gain. The kernel says EINVAL past its last one.
Status empty_bounding_set() {
  for (unsigned long capability = 0;; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0)
      continue;
    if (errno == EINVAL)
      return {};
    return errno_failure(fmt::format("dropping capability {}", capability));
  }
}

Status become_nobody() {
  if (setgroups(0, nullptr) != 0)
    return errno_failure("leaving the supplementary groups");
  if (setresgid(nobody, nobody, nobody) != 0)
    return errno_failure(fmt::format("becoming group {}", nobody));
  if (setresuid(nobody, nobody, nobody) != 0)
    return errno_failure(fmt::format("becoming user {}", nobody));
  return {};
}

Status clear_capabilities() {
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return errno_failure("clearing the ambient capabilities");
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none = {};
  if (syscall(SYS_capset, &header, none.data()) != 0)
    return errno_failure("giving up all capabilities");
  return {};
}

Status set_process_flags() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return errno_failure("setting no_new_privs");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return errno_failure("making the process undumpable");
  // After the change of user, which clears it.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
    return errno_failure("asking to die with the parent");
  return {};
}

} // namespace

Status close_other_descriptors() {
  TRY(close_descriptors(STDIN_FILENO, STDOUT_FILENO));
  return close_descriptors(report_fd + 1, std::numeric_limits<unsigned>::max());
}

Result<Layer> leave_namespaces() {
  const bool root = geteuid() == 0;
  if (unshare(root ? namespaces : namespaces | CLONE_NEWUSER) == 0)
    return Layer::in_place;
  if (root)
    return errno_failure("leaving the network and other namespaces",
                         "root needs CAP_SYS_ADMIN and a kernel with namespaces for it");
  return Layer::not_available;
}

Status drop_privileges() {
  // In a new user namespace the capabilities are there, but no other user is. Without one, a user
  // who is not root has no capabilities to drop: then the bounding set cannot be changed, and
  // matters not.
  const bool root = geteuid() == 0;
  if (root) {
    TRY(empty_bounding_set());
    TRY(become_nobody());
  }
  TRY(clear_capabilities());
  return set_process_flags();
}

} // namespace ashlar::inspector
