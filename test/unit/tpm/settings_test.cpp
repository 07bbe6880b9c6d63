// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <initializer_list>
#include <vector>

#include "ashlar/tpm/settings.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

Result<Settings> parse(std::initializer_list<const char*> arguments) {
  return parse_arguments(std::vector<const char*>(arguments));
}

} // namespace

TEST_CASE("settings: without arguments, the builder is domain 0 and PCR 13 is extended") {
  const auto settings = parse({});
  REQUIRE(settings.has_value());
  CHECK(settings->listen == "vchan");
  CHECK(settings->builder_domid == 0);
  CHECK(settings->pcr == 13);
  CHECK(settings->tpm == "device:/dev/tpm0");
  CHECK(settings->key_place == Settings::KeyPlace::none);
  CHECK(settings->seal_pcrs == std::vector<std::uint32_t>{0, 1, 2, 3, 4, 7});
}

TEST_CASE("settings: every argument is taken") {
  const auto settings = parse({"--listen", "unix:/run/m.sock", "--builder", "3", "--pcr", "15",
                               "--key-store", "directory:/var/k", "--seal-pcrs", "1,3-5", "--tpm",
                               "swtpm:port=1", "--run-directory", "/run/x"});
  REQUIRE(settings.has_value());
  CHECK(settings->listen == "unix:/run/m.sock");
  CHECK(settings->builder_domid == 3);
  CHECK(settings->pcr == 15);
  CHECK(settings->tpm == "swtpm:port=1");
  CHECK(settings->run_directory == "/run/x");
  CHECK(settings->key_directory == "/var/k");
  CHECK(settings->seal_pcrs == std::vector<std::uint32_t>{1, 3, 4, 5});
  CHECK(settings->key_place == Settings::KeyPlace::directory);
  CHECK(parse({"--key-store", "store"})->key_place == Settings::KeyPlace::store);
  CHECK(parse({"--key-store", "none"})->key_place == Settings::KeyPlace::none);
}

TEST_CASE("settings: PCRs that others own or may reset are refused, and other nonsense") {
  for (const char* pcr : {"7", "16", "23", "-1", "13x", "", "4294967304"})
    CHECK_FALSE(parse({"--pcr", pcr}).has_value());
  for (const char* listen : {"unix:", "tcp:1", ""})
    CHECK_FALSE(parse({"--listen", listen}).has_value());
  CHECK_FALSE(parse({"--builder", "32752"}).has_value());
  for (const char* pcrs : {"", "8", "0-", "-1", "3-2", "0,", "0,,1", "0-13", "x"})
    CHECK_FALSE(parse({"--seal-pcrs", pcrs}).has_value());
  for (const char* store : {"", "directory:", "file:/x", "/x", "store:"})
    CHECK_FALSE(parse({"--key-store", store}).has_value());
  CHECK_FALSE(parse({"--pcr"}).has_value());
  CHECK_FALSE(parse({"--no-checks", "1"}).has_value());
}
