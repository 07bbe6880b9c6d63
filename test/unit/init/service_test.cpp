// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/init/service.hpp"

using namespace ashlar;
using namespace ashlar::init;

TEST_CASE("service: a program with its arguments, and what follows its end") {
  const auto manager = parse_service("/usr/sbin/manager --pcr 13\nrestart\n", "service");
  REQUIRE(manager);
  CHECK(manager->arguments == std::vector<std::string>{"/usr/sbin/manager", "--pcr", "13"});
  CHECK(manager->at_end == ServiceEnd::restart);
  const auto vtpm = parse_service("/usr/sbin/vtpm\npower-off\n", "service");
  REQUIRE(vtpm);
  CHECK(vtpm->at_end == ServiceEnd::power_off);
}

TEST_CASE("service: a file that says anything else is refused") {
  for (const char* bad : {"", "\n", "manager\nrestart\n", "/m\n", "/m\nagain\n", "/m\nrestart \n",
                          "/m\nrestart\nmore\n", " /m\nrestart\n"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_service(bad, "service"));
  }
}
