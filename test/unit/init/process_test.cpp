// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/process.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "ashlar/base/memory_file.hpp"

using namespace ashlar;

namespace {

int exit_status(const init::Program& program) {
  const Result<pid_t> pid = init::start(program);
  REQUIRE(pid);
  int status = 0;
  REQUIRE(::waitpid(*pid, &status, 0) == *pid);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

init::Program shell(const std::string& script) {
  return {{"/bin/sh", "-c", script}, {"PATH=/usr/bin:/bin"}, {}, {}};
}

} // namespace

TEST_CASE("process: descriptors arrive from 3 on, in order, and LISTEN_PID is the program's") {
  std::array<UniqueFd, 2> files;
  for (UniqueFd& file : files) {
    Result<UniqueFd> made = create_memory_file("passed");
    REQUIRE(made);
    file = std::move(*made);
  }
  init::Program program = shell(R"(printf first >&3; printf second >&4; [ "$LISTEN_PID" = $$ ])");
  program.descriptors = {files[0].value(), files[1].value()};
  CHECK(exit_status(program) == 0);
  std::array<char, 16> text = {};
  REQUIRE(::pread(files[0].value(), text.data(), text.size(), 0) == 5);
  CHECK(std::string(text.data(), 5) == "first");
  REQUIRE(::pread(files[1].value(), text.data(), text.size(), 0) == 6);
  CHECK(std::string(text.data(), 6) == "second");
}

TEST_CASE("process: order holds when the targets overlap the stored numbers") {
  // Numbers 3 and 4 in reverse order: a plain dup2 loop would overwrite the second with the first.
  Result<UniqueFd> one = create_memory_file("one");
  Result<UniqueFd> two = create_memory_file("two");
  REQUIRE(one);
  REQUIRE(two);
  init::Program program = shell("printf a >&3; printf b >&4");
  program.descriptors = {std::max(one->value(), two->value()),
                         std::min(one->value(), two->value())};
  CHECK(exit_status(program) == 0);
  char byte = 0;
  REQUIRE(::pread(program.descriptors[0], &byte, 1, 0) == 1);
  CHECK(byte == 'a');
  REQUIRE(::pread(program.descriptors[1], &byte, 1, 0) == 1);
  CHECK(byte == 'b');
}

TEST_CASE("process: inherits no descriptor that was not passed") {
  constexpr int number = 77; // one that no shell opens by itself; not close-on-exec
  const UniqueFd open_for_all(::dup2(STDERR_FILENO, number));
  REQUIRE(open_for_all.value() == number);
  CHECK(exit_status(shell("[ ! -e /proc/$$/fd/77 ]")) == 0);
}

TEST_CASE("process: has no environment but the given one, and LISTEN_PID only with descriptors") {
  CHECK(exit_status(shell("[ -z \"$LISTEN_PID\" ] && [ -z \"$HOME\" ]")) == 0);
}

TEST_CASE("process: one that cannot be executed ends with status 127") {
  CHECK(exit_status({{"/nonexistent/program"}, {}, {}, {}}) == 127);
}
