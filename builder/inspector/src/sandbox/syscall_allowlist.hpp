// SPDX-License-Identifier: LGPL-2.1-or-later
// Every system call that the inspector may make once it is locked in, and why. Any other one kills
// it.
#pragma once

#include <linux/futex.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <limits>

#include "ashlar/inspector/sandbox.hpp"

namespace ashlar::inspector {

/// (argument `index` & mask) must be `value`.
struct ArgumentCheck {
  unsigned index;
  std::uint64_t mask;
  std::uint64_t value;
};

struct AllowedCall {
  const char* name;
  const char* reason;
  unsigned check_count; // all of the first so many checks must hold
  ArgumentCheck checks[3];
};

// The kernel reads a descriptor as 32 bits, and so must the filter: the other half is noise.
inline constexpr std::uint64_t low_word = std::numeric_limits<std::uint32_t>::max();
inline constexpr std::uint64_t no_fd = low_word; // -1

inline constexpr AllowedCall syscall_allowlist[] = {
    {"write", "send the report", 1, {{0, low_word, report_fd}}},
    {"write", "log a line", 1, {{0, low_word, STDERR_FILENO}}},
    {"ftruncate", "size the plain kernel", 1, {{0, low_word, plain_fd}}},
    {"mmap",
     "map the plain kernel, never executable",
     3,
     {{2, PROT_EXEC, 0}, {4, low_word, plain_fd}, {3, MAP_SHARED, MAP_SHARED}}},
    {"mmap",
     "allocate memory, never executable",
     3,
     {{2, PROT_EXEC, 0}, {4, low_word, no_fd}, {3, MAP_ANONYMOUS, MAP_ANONYMOUS}}},
    {"mremap", "grow an allocation", 0, {}},
    {"munmap", "free memory", 0, {}},
    {"madvise", "free memory", 0, {}},
    {"brk", "allocate memory", 0, {}},
    {"close", "give up the image's descriptor", 0, {}},
    {"futex",
     "say that something was started once: there is one thread, so it wakes nobody",
     1,
     {{1, low_word, FUTEX_WAKE_PRIVATE}}},
    {"exit_group", "end", 0, {}},
};

} // namespace ashlar::inspector
