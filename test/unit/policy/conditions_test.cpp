// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "conditions.hpp"

using namespace ashlar::policy;

TEST_CASE("glob: a star takes any number of characters, a question mark exactly one") {
  CHECK(glob_fits("", ""));
  CHECK(glob_fits("*", ""));
  CHECK(glob_fits("web-*", "web-"));
  CHECK(glob_fits("web-*", "web-1"));
  CHECK(glob_fits("*-db-*", "a-db-db-"));
  CHECK(glob_fits("a*b*c", "a-b-bc-c"));
  CHECK(glob_fits("hvc?", "hvc0"));
  CHECK(glob_fits("**", "x"));
  CHECK_FALSE(glob_fits("", "x"));
  CHECK_FALSE(glob_fits("?", ""));
  CHECK_FALSE(glob_fits("hvc?", "hvc10"));
  CHECK_FALSE(glob_fits("web-*", "xweb-1"));
  CHECK_FALSE(glob_fits("a*b", "abx"));
  CHECK_FALSE(glob_fits("Web", "web"));
}

TEST_CASE("glob: brackets and backslashes are ordinary characters") {
  CHECK(glob_fits("[ab]", "[ab]"));
  CHECK_FALSE(glob_fits("[ab]", "a"));
  CHECK_FALSE(glob_fits("\\*", "*"));
  CHECK(glob_fits("\\*", "\\x"));
}

TEST_CASE("glob: many stars against a long text end without exponential search") {
  std::string pattern;
  for (int i = 0; i < 500; ++i)
    pattern += "*a";
  CHECK_FALSE(glob_fits(pattern + "b", std::string(2000, 'a')));
}

TEST_CASE("command line: parameters are what stands between spaces") {
  using Parameters = std::vector<std::string_view>;
  CHECK(split_command_line("") == Parameters{});
  CHECK(split_command_line("   ") == Parameters{});
  CHECK(split_command_line("quiet") == Parameters{"quiet"});
  CHECK(split_command_line(" a=1  b ") == Parameters{"a=1", "b"});
}

TEST_CASE("command line: what a kernel could split elsewhere is not split at all") {
  CHECK_FALSE(split_command_line("a=\"b c\"").has_value());
  for (const char c : {'\t', '\n', '\v', '\f', '\r', '\x7f', '\xa0', '\0'})
    CHECK_FALSE(split_command_line(std::string("a") + c + "b").has_value());
}
