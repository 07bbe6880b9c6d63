// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-stopwatch CGROUP COMMAND…: runs a command in a control group (version 2; "-": in none) and
// prints how long that took by the monotonic clock, in ns, as the last line ("ns 123"). Its exit
// status is the command's. ashlar-stopwatch --memcpy MIB: the same for one copy of so many MiB into
// memory whose pages are there.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

namespace {

constexpr int failed_status = 125; // as env(1) and timeout(1) have it for their own failures
constexpr std::size_t mib = std::size_t{1} << 20;

long long now_ns() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

void print_since(long long begin) {
  std::printf("ns %lld\n", now_ns() - begin);
}

int fail(const char* doing) {
  std::fprintf(stderr, "ashlar-stopwatch: %s: %s\n", doing, std::strerror(errno));
  return failed_status;
}

bool enter(const char* group) {
  char path[256];
  std::snprintf(path, sizeof path, "%s/cgroup.procs", group);
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  const bool entered = write(fd, "0", 1) == 1;
  close(fd);
  return entered;
}

int time_memcpy(const char* count) {
  const std::size_t bytes = std::strtoull(count, nullptr, 10) * mib;
  const std::vector<char> from(bytes, 'a');
  std::vector<char> into(bytes, 'b');
  const long long begin = now_ns();
  std::memcpy(into.data(), from.data(), bytes);
  print_since(begin);
  return bytes != 0 && into.back() == 'a' ? 0 : failed_status;
}

int time_command(char** command) {
  const long long begin = now_ns();
  pid_t child = -1;
  errno = posix_spawnp(&child, command[0], nullptr, nullptr, command, environ);
  if (errno != 0)
    return fail("starting the command");
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  print_since(begin);
  return WIFEXITED(status) ? WEXITSTATUS(status) : failed_status + 1;
}

} // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::fputs("usage: ashlar-stopwatch CGROUP COMMAND…\n"
               "       ashlar-stopwatch --memcpy MIB\n",
               stderr);
    return failed_status;
  }
  const std::string_view first = arguments[1];
  if (first == "--memcpy")
    return time_memcpy(arguments[2]);
  if (first != "-" && !enter(arguments[1]))
    return fail("entering the control group");
  return time_command(arguments + 2);
}
