// SPDX-License-Identifier: LGPL-2.1-or-later
// What all benchmarks share. Each is named LINE/ashlar, or LINE/peer… for what it is compared with;
// run.py makes one line of a table of those that share LINE.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/broker/domain.hpp"

namespace ashlar::bench {

/// What the builder reads, hashes and writes at once: the largest data frame.
inline constexpr std::size_t chunk_bytes = 256 * 1024;

/// True for a success; otherwise the benchmark ends with the error's message, and with it
/// `./dev bench`.
template <typename T>
[[nodiscard]] bool succeeded(benchmark::State& state, const Result<T>& outcome) {
  if (!outcome)
    state.SkipWithError(outcome.error().message().c_str());
  return outcome.has_value();
}

/// Reports how many bytes one iteration takes: run.py makes a rate of it.
inline void report_bytes(benchmark::State& state, std::size_t bytes) {
  state.counters["bytes"] = static_cast<double>(bytes);
}

/// A guest as most are: a kernel, one initrd, a short command line, and the record of its six
/// events. Errors: those of measure::make_events.
[[nodiscard]] Result<broker::Domain> example_domain();

/// Registers inspect_NAME/ashlar and, for a compressed kernel, inspect_NAME/peer: the
/// decompressor's library alone. `path` is a kernel image. Errors: not_found, io, limit, and those
/// of the inspector for an image that it refuses.
[[nodiscard]] Status register_inspection(const std::string& name, const std::string& path);

} // namespace ashlar::bench
