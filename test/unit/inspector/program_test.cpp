// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs the real ashlar-inspector as the broker does: three descriptors, no arguments, no
// environment. The program's path comes from the build in ASHLAR_INSPECTOR.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "ashlar/base/mapping.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/inspector/limits.hpp"
#include "kernel_image.hpp"

using namespace ashlar;
using namespace ashlar::inspector;
using namespace ashlar::inspector::test;

namespace {

struct Run {
  int status = 0;
  Bytes report;
  UniqueFd plain;
};

[[noreturn]] void become_inspector(int image, int plain, int report) {
  // Copies above the target numbers first, so that none is overwritten before it is used.
  const int copies[] = {dup(image), dup(plain), dup(report)};
  for (int i = 0; i < 3; ++i)
    if (copies[i] < 6 || dup2(copies[i], 3 + i) < 0)
      _exit(98);
  const char* path = std::getenv("ASHLAR_INSPECTOR");
  char* const arguments[] = {const_cast<char*>(path), nullptr};
  char* const environment[] = {nullptr};
  execve(path, arguments, environment);
  _exit(97);
}

Run run_inspector(const Bytes& image, bool sealed = true) {
  Run run;
  UniqueFd image_file = std::move(create_memory_file("image").value());
  REQUIRE(write_all(image_file.value(), image, "the image"));
  if (sealed)
    REQUIRE(seal(image_file.value(), "the image"));
  run.plain = std::move(create_memory_file("plain").value());
  int ends[2] = {};
  REQUIRE(pipe(ends) == 0);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t child = fork();
  if (child == 0)
    become_inspector(image_file.value(), run.plain.value(), writer.value());
  writer.reset();
  Bytes buffer(max_report_bytes + 1);
  ssize_t count = 0;
  while ((count = read(reader.value(), buffer.data(), buffer.size())) > 0)
    run.report.insert(run.report.end(), buffer.begin(), buffer.begin() + count);
  REQUIRE(waitpid(child, &run.status, 0) == child);
  return run;
}

} // namespace

TEST_CASE("inspector: unpacks a kernel into the memory file, which can then be sealed") {
  for (const Compression compression : {Compression::gzip, Compression::xz, Compression::lzma,
                                        Compression::bzip2, Compression::lz4, Compression::zstd}) {
    CAPTURE(to_string(compression));
    const Run run = run_inspector(bzimage(payload_of(plain_kernel(), compression)));
    REQUIRE(run.status == 0);
    const auto report = decode_report(run.report);
    REQUIRE(report);
    REQUIRE(report->outcome);
    CHECK(report->outcome->compression == compression);
    CHECK(seal(run.plain.value(), "the plain kernel"));
    const auto mapping = Mapping::of(run.plain.value(), "the plain kernel");
    REQUIRE(mapping);
    CHECK(Bytes(mapping->bytes().begin(), mapping->bytes().end()) == plain_kernel());
  }
}

TEST_CASE("inspector: cannot write into the builder's log once it reads the image") {
  UniqueFd image = std::move(create_memory_file("image").value());
  REQUIRE(write_all(image.value(), plain_kernel(), "the image"));
  REQUIRE(seal(image.value(), "the image"));
  const UniqueFd plain = std::move(create_memory_file("plain").value());
  const UniqueFd log = std::move(create_memory_file("log").value());
  const UniqueFd unwritable(open("/dev/null", O_RDONLY)); // so that there is something to say
  const pid_t child = fork();
  if (child == 0) {
    dup2(log.value(), STDERR_FILENO);
    become_inspector(image.value(), plain.value(), unwritable.value());
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == EXIT_FAILURE);
  const auto written = Mapping::of(log.value(), "the log");
  REQUIRE(written);
  const std::string text(reinterpret_cast<const char*>(written->bytes().data()),
                         written->bytes().size());
  CHECK(text.find("report") == std::string::npos);
}

TEST_CASE("inspector: leaves the memory file empty for a plain kernel") {
  const Run run = run_inspector(plain_kernel());
  REQUIRE(run.status == 0);
  const auto report = decode_report(run.report);
  REQUIRE(report);
  CHECK(report->outcome);
  CHECK(file_size(run.plain.value(), "the plain kernel").value() == 0);
}

TEST_CASE("inspector: a refusal is a report, and the program ends well") {
  const Run run = run_inspector(Bytes(4096));
  REQUIRE(run.status == 0);
  const auto report = decode_report(run.report);
  REQUIRE(report);
  REQUIRE(!report->outcome);
  CHECK(report->outcome.error().code == ErrorCode::unsupported);
}

TEST_CASE("inspector: refuses an image that is not sealed") {
  const Run run = run_inspector(plain_kernel(), false);
  REQUIRE(run.status == 0);
  const auto report = decode_report(run.report);
  REQUIRE(report);
  REQUIRE(!report->outcome);
  CHECK(report->outcome.error().code == ErrorCode::integrity);
}

TEST_CASE("inspector: refuses an empty image") {
  const Run run = run_inspector({});
  REQUIRE(run.status == 0);
  const auto report = decode_report(run.report);
  REQUIRE(report);
  CHECK(!report->outcome);
}
