// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-bench [--benchmark_…] [NAME=KERNEL]…: all benchmarks; each kernel is inspected as NAME.
#include <cstdio>
#include <string_view>

#include "bench.hpp"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const std::size_t equals = argument.find('=');
    if (argument.starts_with('-') || equals == std::string_view::npos) {
      std::fprintf(stderr, "ashlar-bench: \"%s\" is neither NAME=KERNEL nor an option\n", argv[i]);
      return 2;
    }
    const ashlar::Status registered = ashlar::bench::register_inspection(
        std::string(argument.substr(0, equals)), std::string(argument.substr(equals + 1)));
    if (!registered) {
      std::fprintf(stderr, "ashlar-bench: %s\n", registered.error().message().c_str());
      return 1;
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
