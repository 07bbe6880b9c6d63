// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs the policy files of test/policy: bad/NAME.toml must give exactly the findings in
// NAME.expected, good/NAME.toml none and the decisions in NAME.cases.toml. The example policies
// must load without findings and pass the cases beside them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/policy/cases.hpp"
#include "ashlar/policy/policy.hpp"

namespace {

namespace fs = std::filesystem;
using ashlar::policy::Policy;
using ashlar::policy::PolicyFile;

fs::path source_root() {
  const char* root = std::getenv("ASHLAR_SOURCE_ROOT");
  REQUIRE_MESSAGE(root != nullptr, "set ASHLAR_SOURCE_ROOT, as Meson does for this test");
  return root;
}

std::string text_of(const fs::path& path) {
  const auto text = ashlar::read_file(path, ashlar::policy::max_policy_file_bytes);
  REQUIRE_MESSAGE(text.has_value(), path.string());
  return *text;
}

/// The policies of a fixture directory, in name order. An empty directory would make every test
/// pass.
std::vector<fs::path> policies_in(const fs::path& directory) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".toml") && !name.ends_with(".cases.toml"))
      paths.push_back(entry.path());
  }
  REQUIRE_MESSAGE(!paths.empty(), directory.string());
  std::ranges::sort(paths);
  return paths;
}

std::string findings_text(const std::vector<ashlar::policy::Finding>& findings) {
  std::string text;
  for (const auto& finding : findings)
    text += finding.text() + "\n";
  return text;
}

/// Reads the cases, asks the policy, and fails the running test for each difference.
void check_cases(const Policy& policy, const PolicyFile& file) {
  const auto read = ashlar::policy::read_cases(file, policy);
  CHECK(findings_text(read.findings) == "");
  REQUIRE_FALSE(read.cases.empty());
  for (const auto& one : read.cases) {
    CAPTURE(one.where.text());
    for (const auto& difference : ashlar::policy::differences(one, policy.decide(one.request)))
      FAIL_CHECK(difference);
  }
}

Policy::Load load_one(const fs::path& path) {
  return Policy::load({PolicyFile{path.filename(), text_of(path)}});
}

} // namespace

TEST_CASE("policy fixtures: a bad file gives exactly the expected findings") {
  for (const fs::path& path : policies_in(source_root() / "test/policy/bad")) {
    CAPTURE(path.filename().string());
    const Policy::Load load = load_one(path);
    fs::path expected = path;
    CHECK(findings_text(load.findings) == text_of(expected.replace_extension(".expected")));
    CHECK_FALSE(load.findings.empty());
    const bool only_warnings = std::ranges::all_of(load.findings, [](const auto& finding) {
      return finding.severity == ashlar::policy::Finding::Severity::warning;
    });
    CHECK(load.policy.has_value() == only_warnings);
  }
}

TEST_CASE("policy fixtures: a good file loads without findings and decides as its cases say") {
  for (const fs::path& path : policies_in(source_root() / "test/policy/good")) {
    CAPTURE(path.filename().string());
    const Policy::Load load = load_one(path);
    CHECK(findings_text(load.findings) == "");
    REQUIRE(load.policy.has_value());
    fs::path cases_path = path;
    cases_path.replace_extension(".cases.toml");
    check_cases(*load.policy, {cases_path.filename(), text_of(cases_path)});
  }
}

TEST_CASE("policy examples: each directory loads without findings and passes its cases") {
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(source_root() / "examples/policies")) {
    CAPTURE(entry.path().string());
    const auto files = ashlar::policy::read_directory(entry.path());
    REQUIRE(files.has_value());
    const Policy::Load load = Policy::load(*files);
    CHECK(findings_text(load.findings) == "");
    REQUIRE(load.policy.has_value());
    const auto case_files = ashlar::policy::read_case_files(entry.path());
    REQUIRE(case_files.has_value());
    CHECK_FALSE(case_files->empty());
    for (const auto& file : *case_files)
      check_cases(*load.policy, file);
    ++count;
  }
  CHECK(count >= 3);
}
