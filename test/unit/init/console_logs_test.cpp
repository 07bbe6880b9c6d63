// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/console_logs.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/init/relay.hpp"

using namespace ashlar;

namespace {

struct Directory {
  std::string path = "/tmp/ashlar-logs-XXXXXX";
  Directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Directory() { std::filesystem::remove_all(path); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
};

void append(const std::string& path, const std::string& text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  REQUIRE(write_all(file.value(), as_bytes(text), path));
}

std::string content(const std::string& path) {
  Result<std::string> text = read_file(path, 16u << 20);
  REQUIRE(text);
  return *text;
}

} // namespace

TEST_CASE("console logs: one above the limit keeps its last 64 KiB") {
  const Directory directory;
  const std::string path = directory.path + "/guest-a.log";
  append(path, std::string(init::max_console_log_bytes, 'a'));
  append(path, std::string(1000, 'b'));
  REQUIRE(init::cap_console_logs(directory.path));
  CHECK(content(path) == std::string((64u << 10) - 1000, 'a') + std::string(1000, 'b'));
}

TEST_CASE("console logs: one at the limit is left alone") {
  const Directory directory;
  const std::string path = directory.path + "/guest-a.log";
  append(path, std::string(init::max_console_log_bytes, 'a'));
  REQUIRE(init::cap_console_logs(directory.path));
  CHECK(std::filesystem::file_size(path) == init::max_console_log_bytes);
}

TEST_CASE("console logs: the least recently written ones go when all are too many") {
  const Directory directory;
  constexpr std::size_t too_many =
      init::max_all_console_log_bytes / init::max_console_log_bytes + 1;
  const auto path = [&](std::size_t i) {
    return directory.path + "/guest-" + std::to_string(i) + ".log";
  };
  const auto now = std::filesystem::file_time_type::clock::now();
  for (std::size_t i = 0; i < too_many; ++i) {
    append(path(i), std::string(init::max_console_log_bytes, 'a'));
    // The second one is the oldest.
    std::filesystem::last_write_time(path(i), now - std::chrono::hours(i == 1 ? 1000 : i));
  }
  REQUIRE(init::cap_console_logs(directory.path));
  for (std::size_t i = 0; i < too_many; ++i)
    CHECK(std::filesystem::exists(path(i)) == (i != 1));
}

TEST_CASE("console logs: a writer that appends goes on at the new end") {
  const Directory directory;
  const std::string path = directory.path + "/guest-a.log";
  const UniqueFd writer(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const std::string much(init::max_console_log_bytes + 1, 'a');
  REQUIRE(write_all(writer.value(), as_bytes(much), path));
  REQUIRE(init::cap_console_logs(directory.path));
  REQUIRE(write_all(writer.value(), as_bytes("end"), path));
  CHECK(content(path) == std::string(64u << 10, 'a') + "end");
}

TEST_CASE("console logs: a link out of the directory is not followed") {
  const Directory directory;
  const Directory other;
  const std::string target = other.path + "/precious";
  append(target, std::string(init::max_console_log_bytes + 1, 'a'));
  std::filesystem::create_symlink(target, directory.path + "/guest-a.log");
  REQUIRE(init::cap_console_logs(directory.path));
  CHECK(std::filesystem::file_size(target) == init::max_console_log_bytes + 1);
}

TEST_CASE("console logs: a directory that is not there is an error that names it") {
  const Status capped = init::cap_console_logs("/nonexistent/logs");
  REQUIRE_FALSE(capped);
  CHECK(capped.error().message().find("/nonexistent/logs") != std::string::npos);
}

TEST_CASE("relay: passes on complete lines, with the domain's name before each") {
  const Directory directory;
  const std::string path = directory.path + "/guest-a.log";
  init::Relay relay("a", path);
  CHECK(relay.next_lines().empty());
  append(path, "one\r\ntwo");
  CHECK(relay.next_lines() == "a| one\n");
  append(path, " halves\nthree\n");
  CHECK(relay.next_lines() == "a| two halves\na| three\n");
  CHECK(relay.next_lines().empty());
}

TEST_CASE("relay: control characters are not passed on") {
  const Directory directory;
  const std::string path = directory.path + "/guest-a.log";
  init::Relay relay("a", path);
  append(path, "\x1b[2Jclear\rover\n");
  CHECK(relay.next_lines() == "a| [2Jclearover\n");
}

TEST_CASE("relay: goes on at the end of a log that was cut") {
  const Directory directory;
  const std::string path = directory.path + "/guest-a.log";
  init::Relay relay("a", path);
  append(path, "a long first line\n");
  CHECK(relay.next_lines() == "a| a long first line\n");
  std::filesystem::resize_file(path, 3);
  CHECK(relay.next_lines().empty());
  append(path, "new\n");
  CHECK(relay.next_lines() == "a| new\n");
}
