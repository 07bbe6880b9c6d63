// SPDX-License-Identifier: LGPL-2.1-or-later
// The builder's journal on a tmpfs: the five entries of one domain's life.
#include "ashlar/broker/journal.hpp"

#include "bench.hpp"
#include "temporary_directory.hpp"

namespace ashlar::bench {

namespace {

constexpr int entries_a_life = 5;

Status write_life(broker::Journal& journal, const broker::Domain& domain) {
  const std::uint64_t serial = domain.record.serial;
  TRY(journal.intent(serial, domain.uuid()));
  TRY(journal.built(domain));
  TRY(journal.started(serial));
  TRY(journal.revoked(serial));
  return journal.abandoned(serial);
}

void append(benchmark::State& state) {
  const Result<TemporaryDirectory> directory = TemporaryDirectory::create();
  if (!succeeded(state, directory))
    return;
  Result<broker::Journal::Opened> opened = broker::Journal::open(directory->path() + "/journal");
  Result<broker::Domain> domain = example_domain();
  if (!succeeded(state, opened) || !succeeded(state, domain))
    return;
  for (auto _ : state) {
    if (!succeeded(state, write_life(opened->journal, *domain)))
      return;
    ++domain->record.serial;
  }
  state.counters["items"] = entries_a_life; // run.py gives the time of one
}

BENCHMARK(append)->Name("journal_append/ashlar");

} // namespace

} // namespace ashlar::bench
