// SPDX-License-Identifier: LGPL-2.1-or-later
// The TPM Manager's ledger with more and more records: whose vTPM is it that asks, and may this
// record be taken?
#include <string>

#include "ashlar/tpm/ledger.hpp"
#include "bench.hpp"

namespace ashlar::bench {

namespace {

measure::Record record_of(measure::Record record, std::uint64_t number) {
  record.serial = number;
  record.domid = static_cast<std::uint32_t>(number);
  return record;
}

tpm::LogEvent event_of(const measure::Record& record, benchmark::State& state) {
  tpm::LogEvent event;
  event.serial = record.serial;
  event.domid = record.domid;
  const auto encoded = measure::encode(record);
  if (succeeded(state, encoded))
    event.encoded = *encoded;
  const auto digests = measure::digest(event.encoded);
  if (succeeded(state, digests))
    event.digests = *digests;
  return event;
}

/// A ledger with `count` records that hold.
tpm::Ledger filled(const measure::Record& example, std::uint64_t count, benchmark::State& state) {
  tpm::Ledger ledger;
  for (std::uint64_t number = 1; number <= count; ++number)
    if (!succeeded(state, ledger.add(event_of(record_of(example, number), state))))
      break;
  return ledger;
}

void ledger_query(benchmark::State& state) {
  const Result<broker::Domain> domain = example_domain();
  if (!succeeded(state, domain))
    return;
  const auto count = static_cast<std::uint64_t>(state.range(0));
  const tpm::Ledger ledger = filled(domain->record, count, state);
  const measure::Record next = record_of(domain->record, count + 1);
  const tpm::LogEvent event = event_of(next, state);
  std::uint32_t domid = 0;
  for (auto _ : state) {
    domid = static_cast<std::uint32_t>((domid + 7919) % count + 1); // not the one beside it
    benchmark::DoNotOptimize(ledger.find_domid(domid));
    if (!succeeded(state, ledger.judge(next, event.digests)))
      return;
  }
}

BENCHMARK(ledger_query)->Arg(100)->Name("ledger_100/ashlar");
// One less: a full ledger would take no other.
BENCHMARK(ledger_query)->Arg(10'000 - 1)->Name("ledger_10000/ashlar");
BENCHMARK(ledger_query)->Arg(100)->Name("ledger_10000/peer");

} // namespace

} // namespace ashlar::bench
