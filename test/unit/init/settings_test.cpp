// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/init/kernel_parameters.hpp"
#include "ashlar/init/modules.hpp"
#include "ashlar/init/restart_limit.hpp"

using namespace ashlar::init;

TEST_CASE("kernel parameters: finds init's own among the kernel's") {
  const KernelParameters found = parse_kernel_parameters(
      "console=hvc0 ashlar.relay=toolstack quiet ashlar.shell=ttyS1 ashlar.builder=manual\n");
  CHECK(found.relay == "toolstack");
  CHECK(found.shell == "ttyS1");
  CHECK(found.builder_by_hand);
}

TEST_CASE("kernel parameters: without any of init's, nothing is switched on") {
  const KernelParameters found = parse_kernel_parameters("console=hvc0 quiet ashlar.builder=auto");
  CHECK(found.relay.empty());
  CHECK(found.shell.empty());
  CHECK_FALSE(found.builder_by_hand);
}

TEST_CASE("kernel parameters: a value with a slash cannot leave its directory") {
  CHECK(parse_kernel_parameters("ashlar.relay=../../../etc/passwd").relay.empty());
  CHECK(parse_kernel_parameters("ashlar.shell=../mem").shell.empty());
}

TEST_CASE("modules: a line is a path and its parameters, in order") {
  const std::vector<Module> modules =
      parse_module_list("# comment\n/lib/a.ko\n\n/lib/b.ko limit=32768 x=1");
  REQUIRE(modules.size() == 2);
  CHECK(modules[0].path == "/lib/a.ko");
  CHECK(modules[0].parameters.empty());
  CHECK(modules[1].path == "/lib/b.ko");
  CHECK(modules[1].parameters == "limit=32768 x=1");
}

TEST_CASE("modules: an error names the list that is not there") {
  const auto loaded = load_modules("/nonexistent/modules");
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().message().find("/nonexistent/modules") != std::string::npos);
}

TEST_CASE("restart limit: allows ten restarts within a minute and no eleventh") {
  RestartLimit limit;
  for (std::int64_t at = 0; at < 10; ++at)
    CHECK(limit.allow(at * 1000));
  CHECK_FALSE(limit.allow(10'000));
  CHECK_FALSE(limit.allow(59'999));
}

TEST_CASE("restart limit: a restart counts for a minute only") {
  RestartLimit limit;
  for (std::int64_t at = 0; at < 10; ++at)
    CHECK(limit.allow(at * 1000));
  CHECK(limit.allow(60'000));
  CHECK_FALSE(limit.allow(60'500));
}
