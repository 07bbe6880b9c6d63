// SPDX-License-Identifier: LGPL-2.1-or-later
// Locks child processes into the real sandbox and lets them try what an inspector under an
// attacker's control would try. Run with "root" or "user" as the first argument: who enters the
// sandbox.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "../../../builder/inspector/src/sandbox/layers.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/inspector/sandbox.hpp"

using namespace ashlar;
using namespace ashlar::inspector;

namespace {

constexpr int exit_skip = 77;
constexpr int exit_no_sandbox = 99;
constexpr unsigned ordinary_user = 65533;
bool as_root = false;

/// Puts memory files where the contract wants descriptors 3 to 5, and one that must be closed at 6.
void place_descriptors() {
  for (int fd = image_fd; fd <= report_fd + 1; ++fd) {
    auto file = create_memory_file("sandbox-test");
    if (!file || dup2(file->value(), fd) != fd)
      _exit(exit_no_sandbox);
    if (file->value() == fd)
      (void)file->release();
  }
}

void become_ordinary_user() {
  if (geteuid() != 0)
    return;
  if (setresgid(ordinary_user, ordinary_user, ordinary_user) != 0 ||
      setresuid(ordinary_user, ordinary_user, ordinary_user) != 0)
    _exit(exit_no_sandbox);
}

/// Runs `action` in a child, after `enter`; returns the child's wait status. The child ends with
/// status 0 if `action` says true, else 1.
int run_child(const std::function<bool()>& action) {
  const pid_t child = fork();
  if (child == 0) {
    place_descriptors();
    if (!as_root)
      become_ordinary_user();
    _exit(action() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return status;
}

int run_in_sandbox(const std::function<bool()>& action, const SandboxLimits& limits = {}) {
  return run_child([&] {
    const auto entered = enter_sandbox(limits);
    if (!entered) {
      std::fprintf(stderr, "%s\n", entered.error().message().c_str());
      _exit(exit_no_sandbox);
    }
    return action();
  });
}

bool killed_by(int status, int signal) {
  return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}
bool done(int status) {
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// The filter kills whoever does this.
void check_filtered(const std::function<void()>& deed) {
  const int status = run_in_sandbox([&deed] {
    deed();
    return true;
  });
  CAPTURE(status);
  CHECK(killed_by(status, SIGSYS));
}

std::string status_line(std::string_view name) {
  const auto text = read_file("/proc/self/status", 1u << 16);
  const auto at = text ? text->find(name) : std::string::npos;
  return at == std::string::npos ? "" : text->substr(at, text->find('\n', at) - at);
}

} // namespace

TEST_CASE("sandbox: what the inspector needs still works") {
  CHECK(done(run_in_sandbox([] {
    if (ftruncate(plain_fd, 1 << 20) != 0)
      return false;
    void* plain = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, plain_fd, 0);
    if (plain == MAP_FAILED)
      return false;
    std::memset(plain, 7, 1 << 20);
    void* large = std::malloc(64u << 20);
    std::memset(large, 1, 64u << 20);
    std::free(large);
    return write(report_fd, "report", 6) == 6 && close(image_fd) == 0;
  })));
}

TEST_CASE("sandbox: opening a file kills") {
  check_filtered([] { (void)open("/etc/passwd", O_RDONLY | O_CLOEXEC); });
}
TEST_CASE("sandbox: reading a descriptor kills") {
  check_filtered([] {
    char byte = 0;
    (void)!read(image_fd, &byte, 1);
  });
}
TEST_CASE("sandbox: a socket kills") {
  check_filtered([] { (void)socket(AF_INET, SOCK_STREAM, 0); });
}
TEST_CASE("sandbox: running a program kills") {
  check_filtered([] { (void)execl("/bin/true", "true", nullptr); });
}
TEST_CASE("sandbox: starting a process kills") {
  check_filtered([] {
    if (fork() == 0)
      _exit(0);
  });
}
TEST_CASE("sandbox: tracing the parent kills") {
  check_filtered([] { (void)ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr); });
}
TEST_CASE("sandbox: a signal to the parent kills only the sender") {
  check_filtered([parent = getpid()] { (void)kill(parent, SIGKILL); });
}
TEST_CASE("sandbox: a hypercall device's ioctl kills") {
  check_filtered([] { (void)syscall(SYS_ioctl, image_fd, 0, nullptr); });
}
TEST_CASE("sandbox: writing to another descriptor kills") {
  check_filtered([] { (void)!write(plain_fd, "x", 1); });
  check_filtered([] { (void)!write(image_fd, "x", 1); });
}
TEST_CASE("sandbox: resizing another file kills") {
  check_filtered([] { (void)!ftruncate(image_fd, 0); });
}
TEST_CASE("sandbox: mapping another file kills") {
  check_filtered([] { (void)mmap(nullptr, 4096, PROT_READ, MAP_SHARED, image_fd, 0); });
}
TEST_CASE("sandbox: executable memory kills") {
  check_filtered(
      [] { (void)mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); });
  check_filtered([] { (void)mmap(nullptr, 4096, PROT_EXEC, MAP_SHARED, plain_fd, 0); });
  check_filtered([] { (void)mprotect(std::malloc(4096), 4096, PROT_READ | PROT_EXEC); });
}
TEST_CASE("sandbox: a 32-bit system call kills") {
  // getpid has number 20 there; the filter must not take it for 64-bit call 20.
  check_filtered([] { asm volatile("int $0x80" ::"a"(20) : "memory"); });
}

TEST_CASE("sandbox: no memory above the limit") {
  SandboxLimits limits;
  limits.address_space_bytes = 256u << 20;
  CHECK(done(run_in_sandbox(
      [] {
        return mmap(nullptr, 512u << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
               MAP_FAILED;
      },
      limits)));
}

TEST_CASE("sandbox: no plain kernel above the limit") {
  SandboxLimits limits;
  limits.file_bytes = 4096;
  const int status = run_in_sandbox([] { return ftruncate(plain_fd, 4097) == 0; }, limits);
  CHECK(killed_by(status, SIGXFSZ));
}

TEST_CASE("sandbox: an endless loop is killed") {
  SandboxLimits limits;
  limits.cpu_seconds = 1;
  const int status = run_in_sandbox(
      [] {
        for (volatile unsigned turns = 0;;)
          turns = turns + 1;
        return true;
      },
      limits);
  CHECK((killed_by(status, SIGXCPU) || killed_by(status, SIGKILL)));
}

TEST_CASE("sandbox: where memory runs out it is the first to go, not the builder or xenstored") {
  int ends[2] = {};
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], report_fd);
    if (enter_sandbox({}) && write(report_fd, "", 1) == 1)
      for (volatile unsigned turns = 0;;)
        turns = turns + 1;
    _exit(exit_no_sandbox);
  }
  close(ends[1]);
  char inside = 1;
  CHECK(read(ends[0], &inside, 1) == 1);
  const auto adjustment = read_file("/proc/" + std::to_string(child) + "/oom_score_adj", 64);
  CHECK(adjustment.value_or("") == "1000\n");
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ends[0]);
}

TEST_CASE("sandbox: only standard error and the three descriptors stay open") {
  CHECK(done(run_child([] {
    if (!close_other_descriptors())
      return false;
    for (int fd = 0; fd < 64; ++fd)
      if ((fcntl(fd, F_GETFD) != -1) != (fd >= STDERR_FILENO && fd <= report_fd))
        return false;
    return true;
  })));
}

// The filter hides what lies beneath it, so each other layer is tried without it.

TEST_CASE("sandbox: drops every capability, and the user") {
  CHECK(done(run_child([] {
    if (!leave_namespaces() || !drop_privileges())
      return false;
    const bool none = status_line("CapEff:").ends_with("0000000000000000") &&
                      status_line("CapPrm:").ends_with("0000000000000000") &&
                      status_line("CapAmb:").ends_with("0000000000000000");
    return none && geteuid() != 0 && status_line("NoNewPrivs:").ends_with("1");
  })));
}

TEST_CASE("sandbox: the network namespace has no way out") {
  CHECK(done(run_child([] {
    const auto layer = leave_namespaces();
    if (!layer)
      return false;
    if (*layer == Layer::not_available) {
      std::fprintf(stderr, "not checked: no user namespaces for this user here\n");
      return true;
    }
    const auto devices = read_file("/proc/self/net/dev", 1u << 16);
    return devices && devices->find("lo:") != std::string::npos &&
           devices->find("eth") == std::string::npos && devices->find("ens") == std::string::npos;
  })));
}

TEST_CASE("sandbox: Landlock alone already forbids the file system") {
  CHECK(done(run_child([] {
    if (!drop_privileges())
      return false;
    const auto layer = forbid_file_system();
    if (layer && *layer == Layer::not_available) {
      std::fprintf(stderr, "not checked: no Landlock here\n");
      return true;
    }
    return layer && open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES;
  })));
}

TEST_CASE("sandbox: no new descriptor even without a filter") {
  CHECK(done(
      run_child([] { return forbid_new_descriptors() && dup(report_fd) < 0 && errno == EMFILE; })));
}

int main(int argc, char** argv) {
  as_root = argc > 1 && std::string_view(argv[1]) == "root";
  if (as_root && geteuid() != 0) {
    std::fputs("skipped: needs root to check what the sandbox does for root\n", stderr);
    return exit_skip;
  }
  return doctest::Context(1, argv).run();
}
