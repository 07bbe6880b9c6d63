// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/child_process.hpp"

// glibc 2.36 declares pidfd_open without C linkage.
extern "C" {
#include <sys/pidfd.h>
}
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <fmt/format.h>

namespace ashlar::broker {

namespace {
// Above every descriptor number that a child's contract names, so that the copies cannot overwrite
// each other while they are put in place.
constexpr int staging_fd = 64;
constexpr int first_child_fd = 3;

/// posix_spawn's two parameter objects, destroyed on every path.
struct SpawnParameters {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
  SpawnParameters() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    // The broker blocks the signals that it reads from a signalfd; a child must start without that.
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  }
  SpawnParameters(const SpawnParameters&) = delete;
  SpawnParameters& operator=(const SpawnParameters&) = delete;
  ~SpawnParameters() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
};

bool debug_wanted() {
  const char* level = std::getenv(log_level_variable);
  return level != nullptr && std::string_view(level) == "debug";
}
} // namespace

Result<ChildProcess> ChildProcess::start(const std::string& executable,
                                         const std::vector<int>& descriptors, int lock_fd) {
  SpawnParameters parameters;
  std::vector<UniqueFd> staged;
  posix_spawn_file_actions_adddup2(&parameters.actions, lock_fd, STDIN_FILENO);
  for (const int fd : descriptors) {
    UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, staging_fd));
    if (!copy)
      return errno_failure("handing a descriptor to " + executable);
    posix_spawn_file_actions_adddup2(&parameters.actions, copy.value(),
                                     first_child_fd + static_cast<int>(staged.size()));
    staged.push_back(std::move(copy));
  }
  std::string name = executable;
  char* const arguments[] = {name.data(), nullptr};
  std::string level = std::string(log_level_variable) + "=debug";
  char* const environment[] = {debug_wanted() ? level.data() : nullptr, nullptr};
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, executable.c_str(), &parameters.actions,
                                 &parameters.attributes, arguments, environment);
  if (failed != 0)
    return failure(ErrorCode::io, "starting " + executable, "", failed);
  UniqueFd pidfd(pidfd_open(pid, 0));
  ChildProcess child(pid, std::move(pidfd));
  if (!child.pidfd_)
    return errno_failure("watching " + executable);
  return child;
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0)
    return;
  kill();
  [[maybe_unused]] const std::string how = reap();
}

void ChildProcess::kill() {
  if (pid_ > 0)
    ::kill(pid_, SIGKILL);
}

std::string ChildProcess::reap() {
  if (pid_ < 0)
    return "is gone already";
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFSIGNALED(status))
    return fmt::format("was killed by signal {} ({})", WTERMSIG(status),
                       sigdescr_np(WTERMSIG(status)) ? sigdescr_np(WTERMSIG(status)) : "unknown");
  if (WEXITSTATUS(status) != 0)
    return fmt::format("exited with status {}", WEXITSTATUS(status));
  return {};
}

Result<InstanceLock> InstanceLock::take(const std::string& path, int seconds) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd)
    return errno_failure("opening the lock file " + path);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (flock(fd.value(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return errno_failure("locking " + path);
    if (std::chrono::steady_clock::now() >= deadline)
      return failure(
          ErrorCode::busy, "locking " + path,
          fmt::format("another ashlar-builder (or a child of it) held it for {} s: stop it "
                      "first, one machine has one builder",
                      seconds));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return InstanceLock(std::move(fd));
}

} // namespace ashlar::broker
