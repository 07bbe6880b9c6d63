// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "ashlar/broker/child_process.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

/// An executable of the test's own that gets no arguments, as the broker's children do.
std::string script(const TemporaryDirectory& directory, const std::string& text) {
  const std::string path = directory.path() + "/child";
  write_file(path, "#!/bin/sh\n" + text);
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
  Pipe() {
    int ends[2] = {-1, -1};
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    read_end = UniqueFd(ends[0]);
    write_end = UniqueFd(ends[1]);
  }
  [[nodiscard]] std::string all() {
    write_end.reset();
    std::string text;
    char piece[4096];
    for (ssize_t count; (count = read(read_end.value(), piece, sizeof piece)) > 0;)
      text.append(piece, static_cast<std::size_t>(count));
    return text;
  }
};

InstanceLock taken(const std::string& path) {
  Result<InstanceLock> lock = InstanceLock::take(path, 0);
  REQUIRE(lock);
  return std::move(*lock);
}

} // namespace

TEST_CASE("child process: it gets exactly the descriptors it is promised, in order") {
  const TemporaryDirectory directory;
  const InstanceLock lock = taken(directory.path() + "/lock");
  Pipe report;
  write_file(directory.path() + "/input", "from descriptor three\n");
  const UniqueFd input(open((directory.path() + "/input").c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd stray(open("/dev/null", O_RDONLY | O_CLOEXEC));
  auto child = ChildProcess::start(
      script(directory, "cat <&3 >&4\n[ -e /proc/$$/fd/5 ] && echo stray >&4\nexit 0\n"),
      {input.value(), report.write_end.value()}, lock.descriptor());
  REQUIRE(child);
  CHECK(report.all() == "from descriptor three\n");
  CHECK(child->reap().empty());
}

TEST_CASE("child process: it is told when libraries are to be logged, and nothing else") {
  const TemporaryDirectory directory;
  const InstanceLock lock = taken(directory.path() + "/lock");
  Pipe report;
  setenv("ASHLAR_SECRET", "secret", 1);
  setenv(log_level_variable, "debug", 1);
  auto child = ChildProcess::start(script(directory, "tr '\\0' '\\n' </proc/$$/environ >&3\n"),
                                   {report.write_end.value()}, lock.descriptor());
  unsetenv(log_level_variable);
  unsetenv("ASHLAR_SECRET");
  REQUIRE(child);
  CHECK(report.all() == "ASHLAR_LOG_LEVEL=debug\n");
  CHECK(child->reap().empty());
}

TEST_CASE("child process: its environment is empty and no signal is blocked") {
  const TemporaryDirectory directory;
  const InstanceLock lock = taken(directory.path() + "/lock");
  Pipe report;
  setenv("ASHLAR_SECRET", "secret", 1);
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  auto child = ChildProcess::start(
      script(directory,
             "tr '\\0' '\\n' < /proc/$$/environ >&3\ngrep SigBlk /proc/self/status >&3\n"),
      {report.write_end.value()}, lock.descriptor());
  sigprocmask(SIG_SETMASK, &before, nullptr);
  unsetenv("ASHLAR_SECRET");
  REQUIRE(child);
  CHECK(report.all() == "SigBlk:\t0000000000000000\n");
}

TEST_CASE("child process: how it ended is told in words") {
  const TemporaryDirectory directory;
  const InstanceLock lock = taken(directory.path() + "/lock");
  auto exits = ChildProcess::start(script(directory, "exit 3\n"), {}, lock.descriptor());
  REQUIRE(exits);
  CHECK(exits->reap() == "exited with status 3");
  auto killed = ChildProcess::start(script(directory, "kill -SYS $$\n"), {}, lock.descriptor());
  REQUIRE(killed);
  CHECK(killed->reap().starts_with("was killed by signal 31"));
  CHECK_FALSE(ChildProcess::start(directory.path() + "/nothing", {}, lock.descriptor()));
}

TEST_CASE("child process: its owner's end is its end, and its descriptor tells of it") {
  const TemporaryDirectory directory;
  const InstanceLock lock = taken(directory.path() + "/lock");
  Pipe report;
  {
    auto child = ChildProcess::start(script(directory, "while :; do :; done\n"),
                                     {report.write_end.value()}, lock.descriptor());
    REQUIRE(child);
    child->kill();
    pollfd ended{.fd = child->descriptor(), .events = POLLIN, .revents = 0};
    CHECK(poll(&ended, 1, 60'000) == 1);
  }
  CHECK(report.all().empty()); // nobody holds the write end any more
}

TEST_CASE("child process: the lock is held until the last child is gone") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/lock";
  std::optional<InstanceLock> lock = taken(path);
  auto child =
      ChildProcess::start(script(directory, "while :; do :; done\n"), {}, lock->descriptor());
  REQUIRE(child);
  lock.reset(); // the broker is gone, its child is not
  const auto early = InstanceLock::take(path, 0);
  REQUIRE_FALSE(early);
  CHECK(early.error().code == ErrorCode::busy);
  CHECK(early.error().message().contains(path));
  child->kill();
  CHECK_FALSE(child->reap().empty());
  CHECK(InstanceLock::take(path, 0));
}
