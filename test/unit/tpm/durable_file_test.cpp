// SPDX-License-Identifier: LGPL-2.1-or-later
// What a crash of the machine must not take back, by what is handed to fsync(2).
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <vector>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/durable_file.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::tpm;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> synced;

bool was_synced(const std::string& path) {
  return std::ranges::find(synced, path) != synced.end();
}

} // namespace

// In the place of the C library's.
extern "C" int fsync(int descriptor) {
  synced.push_back(fs::read_symlink("/proc/self/fd/" + std::to_string(descriptor)).string());
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}

TEST_CASE("durable files: a staged file is on the disk by content and name when it is there") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  synced.clear();
  REQUIRE(stage(path, as_bytes("content")));
  CHECK(was_synced(staged_path(path)));
  CHECK(was_synced(directory.path()));
  synced.clear();
  REQUIRE(put_in_place(path));
  CHECK(was_synced(directory.path()));
}

TEST_CASE("durable files: of new directories each one's name is on the disk") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/a/b/c";
  synced.clear();
  REQUIRE(make_directories(path));
  CHECK(fs::is_directory(path));
  for (const char* above : {"", "/a", "/a/b"})
    CHECK(was_synced(directory.path() + above));
  synced.clear();
  REQUIRE(make_directories(path));
  CHECK(synced.empty());
  REQUIRE(stage(directory.path() + "/file", {}));
  REQUIRE(put_in_place(directory.path() + "/file"));
  CHECK_FALSE(make_directories(directory.path() + "/file/x"));
}

TEST_CASE("durable files: a file that could not be written whole leaves nothing behind") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  rlimit former{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &former) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 10, .rlim_max = former.rlim_max}; // a full disk
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const Status staged = stage(path, std::vector<std::byte>(100));
  setrlimit(RLIMIT_FSIZE, &former);
  std::signal(SIGXFSZ, handler);
  CHECK_FALSE(staged);
  CHECK_FALSE(fs::exists(staged_path(path)));
}
