// SPDX-License-Identifier: LGPL-2.1-or-later
// A measurement record into its bytes, and back.
#include "ashlar/measure/record.hpp"
#include "bench.hpp"

namespace ashlar::bench {

namespace {

void encode(benchmark::State& state) {
  const Result<broker::Domain> domain = example_domain();
  if (!succeeded(state, domain))
    return;
  for (auto _ : state)
    if (!succeeded(state, measure::encode(domain->record)))
      return;
}

void decode(benchmark::State& state) {
  const Result<broker::Domain> domain = example_domain();
  if (!succeeded(state, domain))
    return;
  const auto encoded = measure::encode(domain->record);
  if (!succeeded(state, encoded))
    return;
  for (auto _ : state)
    if (!succeeded(state, measure::decode(*encoded)))
      return;
}

BENCHMARK(encode)->Name("record_encode/ashlar");
BENCHMARK(decode)->Name("record_decode/ashlar");

} // namespace

} // namespace ashlar::bench
