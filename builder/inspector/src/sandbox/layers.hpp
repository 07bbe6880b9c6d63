// SPDX-License-Identifier: LGPL-2.1-or-later
// The layers of the sandbox, in the order in which sandbox.cpp puts them on.
#pragma once

#include "ashlar/base/result.hpp"
#include "ashlar/inspector/sandbox.hpp"

namespace ashlar::inspector {

/// Whether a layer is in place, for layers that not every machine has.
enum class Layer { in_place, not_available };

/// Closes every descriptor but standard error and the three of the contract.
[[nodiscard]] Status close_other_descriptors();

/// Where memory runs out, the kernel ends this process before any that others need (oom_score_adj
/// of proc(5)). Advice alone: where it cannot be given, nothing is lost that was there.
void be_first_to_go();

/// New, empty network, IPC, UTS, mount and cgroup namespaces; not for root: inside a new user
/// namespace. `not_available` only for a user whom the kernel gives no user namespace; for root
/// that is an error.
[[nodiscard]] Result<Layer> leave_namespaces();

/// Drops supplementary groups, user and group (if root), all capabilities and the way back to them;
/// no_new_privs; not dumpable; dies with its parent.
[[nodiscard]] Status drop_privileges();

/// RLIMIT_*: as given, and zero for processes, core files, locked memory and message queues.
[[nodiscard]] Status limit_resources(const SandboxLimits& limits);

/// Landlock, with everything that this kernel's version can handle, and no exception. Needs
/// no_new_privs.
[[nodiscard]] Result<Layer> forbid_file_system();

/// RLIMIT_NOFILE 0: the open descriptors stay, no new one can be had.
[[nodiscard]] Status forbid_new_descriptors();

/// Loads the seccomp filter. Nothing after this can be undone or looked up.
[[nodiscard]] Status filter_system_calls();

} // namespace ashlar::inspector
