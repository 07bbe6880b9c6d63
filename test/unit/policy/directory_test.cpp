// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ashlar/policy/cases.hpp"
#include "ashlar/policy/policy.hpp"

using namespace ashlar;
using namespace ashlar::policy;

namespace {

/// A directory that is gone when the test ends.
class TemporaryDirectory {
public:
  TemporaryDirectory() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "ashlar-policy-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(std::filesystem::path(path_) / name) << text;
  }
  [[nodiscard]] const std::string& path() const { return path_; }

private:
  std::string path_;
};

} // namespace

TEST_CASE("directory: *.toml files come in name order, hidden and other files not at all") {
  const TemporaryDirectory directory;
  directory.write("20-b.toml", "b");
  directory.write("10-a.toml", "a");
  directory.write("B.toml", "capital");
  directory.write(".20-b.toml", "an editor's");
  directory.write("README", "none");
  directory.write("20-b.toml~", "old");
  const auto files = read_directory(directory.path());
  REQUIRE(files.has_value());
  REQUIRE(files->size() == 3);
  CHECK((*files)[0].name == "10-a.toml");
  CHECK((*files)[0].text == "a");
  CHECK((*files)[1].name == "20-b.toml");
  CHECK((*files)[2].name == "B.toml");
}

TEST_CASE("directory: files of cases are no part of the policy, and are read apart from it") {
  const TemporaryDirectory directory;
  directory.write("10-a.toml", "a");
  directory.write("a.cases.toml", "cases");
  directory.write(".b.cases.toml", "an editor's");
  const auto files = read_directory(directory.path());
  REQUIRE(files.has_value());
  REQUIRE(files->size() == 1);
  CHECK(files->front().name == "10-a.toml");
  const auto cases = read_case_files(directory.path());
  REQUIRE(cases.has_value());
  REQUIRE(cases->size() == 1);
  CHECK(cases->front().text == "cases");
}

TEST_CASE("directory: one that is not there is not_found, and the error names it") {
  const auto files = read_directory("/nonexistent/policy.d");
  REQUIRE_FALSE(files.has_value());
  CHECK(files.error().code == ErrorCode::not_found);
  CHECK(files.error().message().contains("/nonexistent/policy.d"));
}

TEST_CASE("directory: a file in its place is refused with what to give") {
  const auto files = read_directory("/proc/self/status");
  REQUIRE_FALSE(files.has_value());
  CHECK(files.error().message().contains("/proc/self/status: it is a file"));
}

TEST_CASE("directory: more files than the limit, and a larger file, are refused") {
  const TemporaryDirectory directory;
  for (std::size_t i = 0; i < max_policy_files; ++i)
    directory.write(std::to_string(i) + ".toml", "");
  CHECK(read_directory(directory.path()));
  directory.write("more.toml", "");
  const auto many = read_directory(directory.path());
  REQUIRE_FALSE(many.has_value());
  CHECK(many.error().code == ErrorCode::limit);
  const TemporaryDirectory other;
  other.write("large.toml", std::string(max_policy_file_bytes + 1, '\n'));
  const auto large = read_directory(other.path());
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error().code == ErrorCode::limit);
}
