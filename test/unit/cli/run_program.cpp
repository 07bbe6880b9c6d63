// SPDX-License-Identifier: LGPL-2.1-or-later
#include "run_program.hpp"

#include <doctest/doctest.h>

#include <sys/wait.h>

#include <cstdio>

namespace ashlar::test {

Run run_ashlar(const std::string& arguments, const std::string& environment) {
  const std::string command = environment + ASHLAR_PROGRAM " " + arguments + " 2>&1 </dev/null";
  FILE* const pipe = popen(command.c_str(), "r");
  REQUIRE(pipe);
  Run run;
  char buffer[4096];
  while (const std::size_t count = fread(buffer, 1, sizeof buffer, pipe))
    run.output.append(buffer, count);
  const int status = pclose(pipe);
  run.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return run;
}

} // namespace ashlar::test
