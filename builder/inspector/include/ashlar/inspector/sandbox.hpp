// SPDX-License-Identifier: LGPL-2.1-or-later
// The cage that a process locks itself into before it reads bytes that nobody vouches for. There is
// no way out of it again: what the process does wrong afterwards ends it.
//
// In layers, so that a hole in one is not the end: a user and namespaces without anything in them
// (no network, no System V IPC, no other mount), no capability, resource limits, Landlock with no
// rule (no file system), and a seccomp filter (syscall_allowlist.hpp) that kills at the first other
// system call.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/inspector/limits.hpp"

namespace ashlar::inspector {

/// What the process may use up, over its life.
struct SandboxLimits {
  std::uint64_t address_space_bytes = max_address_space_bytes; // RLIMIT_AS
  std::uint32_t cpu_seconds = max_cpu_seconds;                 // RLIMIT_CPU
  std::uint64_t file_bytes = max_plain_bytes;                  // RLIMIT_FSIZE
};

/// The descriptors that stay open, besides standard error: nothing else does.
inline constexpr int image_fd = 3;  // the image; may be closed already
inline constexpr int plain_fd = 4;  // the only file that may be resized and mapped
inline constexpr int report_fd = 5; // the only one, with standard error, that may be written

/// Layers that this machine could not give; each is a sentence for the log. Seccomp is never among
/// them.
struct Isolation {
  std::vector<std::string> missing;
};

/// Locks the calling process, which must have one thread, into the sandbox.
/// Started by root: becomes user and group 65534; any layer but Landlock that fails is an error.
/// Started by another user: namespaces need a kernel that gives user namespaces to everyone. Where
/// it does not, Landlock must be there instead; with neither, this fails. Errors: denied or io,
/// naming the layer. After an error the process is half locked in: it must end.
[[nodiscard]] Result<Isolation> enter_sandbox(const SandboxLimits& limits);

} // namespace ashlar::inspector
