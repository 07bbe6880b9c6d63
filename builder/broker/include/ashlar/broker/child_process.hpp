// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"

namespace ashlar::broker {

/// What tells a constructor, with the value "debug", to log what libraries do. It passes from the
/// broker's environment to its children's, alone and with no other value.
inline constexpr char log_level_variable[] = "ASHLAR_LOG_LEVEL";

/// A child process that is killed and reaped when its owner goes out of scope.
class ChildProcess {
public:
  /// Starts `executable` with no arguments, in an environment with log_level_variable or nothing.
  /// `descriptors[i]` becomes the child's descriptor 3+i. Standard input becomes `lock_fd`: the
  /// child thereby holds the broker's lock for as long as it lives (see InstanceLock); output and
  /// error stay the broker's.
  [[nodiscard]] static Result<ChildProcess> start(const std::string& executable,
                                                  const std::vector<int>& descriptors, int lock_fd);
  ChildProcess(ChildProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
  ChildProcess& operator=(ChildProcess&&) = delete;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  /// Readable once the child has ended.
  [[nodiscard]] int descriptor() const { return pidfd_.value(); }
  void kill();
  /// Waits for the end and says how it was: "exited with status 1", "was killed by signal 31
  /// (bad system call)"; empty for exit status 0.
  [[nodiscard]] std::string reap();

private:
  ChildProcess(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

/// Held by one broker and all its children: free only when the last of them is gone. A restarted
/// broker that has it knows that no child of its predecessor still changes anything.
class InstanceLock {
public:
  /// Waits for the lock file for at most `seconds`. Errors: busy (with the path), io.
  [[nodiscard]] static Result<InstanceLock> take(const std::string& path, int seconds);
  [[nodiscard]] int descriptor() const { return fd_.value(); }

private:
  explicit InstanceLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

} // namespace ashlar::broker
