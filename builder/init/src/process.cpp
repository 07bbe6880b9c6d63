// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/process.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"

namespace ashlar::init {

namespace {

constexpr int first_passed = 3; // SD_LISTEN_FDS_START
constexpr int exit_not_executed = 127;

/// Puts the descriptors at 3, 4, …, and closes all above.
bool place_descriptors(const std::vector<int>& descriptors) {
  const int count = static_cast<int>(descriptors.size());
  std::vector<int> moved;
  moved.reserve(descriptors.size());
  // First out of the way of the target numbers, since the two ranges can overlap.
  for (const int fd : descriptors)
    moved.push_back(::fcntl(fd, F_DUPFD_CLOEXEC, first_passed + count));
  for (int index = 0; index < count; ++index)
    if (::dup2(moved[static_cast<std::size_t>(index)], first_passed + index) < 0)
      return false;
  return ::close_range(static_cast<unsigned>(first_passed + count), ~0U, 0) == 0;
}

bool open_streams(const std::string& terminal) {
  if (terminal.empty()) {
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    return null >= 0 && ::dup2(null, STDIN_FILENO) >= 0;
  }
  const int tty = ::open(terminal.c_str(), O_RDWR | O_CLOEXEC);
  if (tty < 0 || ::ioctl(tty, TIOCSCTTY, 0) != 0)
    return false;
  return ::dup2(tty, STDIN_FILENO) >= 0 && ::dup2(tty, STDOUT_FILENO) >= 0 &&
         ::dup2(tty, STDERR_FILENO) >= 0;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  all.reserve(texts.size() + 1);
  for (std::string& text : texts)
    all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

[[noreturn]] void become(Program program) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setsid();
  if (!program.descriptors.empty())
    program.environment.push_back(fmt::format("LISTEN_PID={}", ::getpid()));
  if (!open_streams(program.terminal) || !place_descriptors(program.descriptors))
    ::_exit(exit_not_executed);
  const std::vector<char*> arguments = pointers(program.arguments);
  const std::vector<char*> environment = pointers(program.environment);
  ::execve(arguments.front(), arguments.data(), environment.data());
  ::_exit(exit_not_executed);
}

} // namespace

Result<pid_t> start(const Program& program) {
  const pid_t pid = ::fork();
  if (pid < 0)
    return errno_failure("starting " + program.arguments.front());
  if (pid == 0)
    become(program);
  return pid;
}

} // namespace ashlar::init
