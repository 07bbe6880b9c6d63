// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-stopwatch CGROUP COMMAND…: runs a command in a control group (version 2) and prints how long
// that took by the monotonic clock, in ns, as the last line. Its exit status is the command's.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

long long now_ns() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

int fail(const char* doing) {
  std::fprintf(stderr, "ashlar-stopwatch: %s: %s\n", doing, std::strerror(errno));
  return 125;
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

} // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::fputs("usage: ashlar-stopwatch CGROUP COMMAND…\n", stderr);
    return 125;
  }
  if (!enter(arguments[1]))
    return fail("entering the control group");
  const long long begin = now_ns();
  pid_t child = -1;
  errno = posix_spawnp(&child, arguments[2], nullptr, nullptr, arguments + 2, environ);
  if (errno != 0)
    return fail("starting the command");
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  std::printf("ns %lld\n", now_ns() - begin);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
