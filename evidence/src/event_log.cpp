// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/evidence/event_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"
#include "ashlar/evidence/limits.hpp"
#include "ashlar/measure/event_log.hpp"

namespace ashlar::evidence {

namespace {

using measure::Bank;
using measure::Digests;
using measure::Extension;

constexpr std::string_view signature("Spec ID Event03\0", 16);
constexpr std::size_t platform_bytes = 8; // class, versions, errata, size of UINTN
constexpr std::size_t max_digest_bytes = 64;

struct Algorithm {
  std::uint16_t id = 0;
  std::uint16_t digest_bytes = 0;
  std::optional<Bank> bank; // of those that we compute
};

std::uint16_t u16(WireReader& reader) {
  const std::uint16_t low = reader.u8();
  return static_cast<std::uint16_t>(low | std::uint16_t{reader.u8()} << 8);
}

Algorithm read_algorithm(WireReader& reader) {
  Algorithm algorithm;
  algorithm.id = u16(reader);
  algorithm.digest_bytes = u16(reader);
  if (algorithm.digest_bytes == 0 || algorithm.digest_bytes > max_digest_bytes)
    reader.reject(fmt::format("digests of {} bytes", algorithm.digest_bytes));
  for (const Bank bank : measure::all_banks)
    if (measure::tcg_algorithm(bank) == algorithm.id)
      algorithm.bank = bank;
  if (algorithm.bank && Digests{}.of(*algorithm.bank).size() != algorithm.digest_bytes)
    reader.reject(
        fmt::format("{} digests of {} bytes", to_string(*algorithm.bank), algorithm.digest_bytes));
  return algorithm;
}

Result<std::vector<Algorithm>> read_spec_id(std::string_view body) {
  WireReader reader(as_bytes(body));
  std::array<std::byte, signature.size()> start{};
  reader.raw(start);
  if (!std::ranges::equal(start, as_bytes(signature)))
    reader.reject("its first entry is not \"Spec ID Event03\": it is no crypto-agile log");
  std::array<std::byte, platform_bytes> platform{};
  reader.raw(platform);
  const std::uint32_t count = reader.u32();
  if (count == 0 || count > max_log_algorithms)
    reader.reject(fmt::format("{} algorithms", count));
  std::vector<Algorithm> algorithms;
  for (std::uint32_t i = 0; reader.good() && i < count; ++i) {
    const Algorithm algorithm = read_algorithm(reader);
    if (std::ranges::find(algorithms, algorithm.id, &Algorithm::id) != algorithms.end())
      reader.reject(fmt::format("the algorithm 0x{:x} twice", algorithm.id));
    algorithms.push_back(algorithm);
  }
  std::vector<std::byte> vendor(reader.u8());
  reader.raw(vendor);
  TRY(reader.end("the first entry of the event log"));
  return algorithms;
}

void read_digests(WireReader& reader, const std::vector<Algorithm>& algorithms, Digests& into) {
  if (reader.u32() != algorithms.size())
    reader.reject("an entry has not one digest for each algorithm of the log");
  std::vector<std::uint16_t> seen;
  while (reader.good() && seen.size() < algorithms.size()) {
    const std::uint16_t id = u16(reader);
    const auto algorithm = std::ranges::find(algorithms, id, &Algorithm::id);
    if (algorithm == algorithms.end() || std::ranges::find(seen, id) != seen.end())
      return reader.reject(
          fmt::format("the algorithm 0x{:x} is not the log's, or there twice", id));
    seen.push_back(id);
    std::vector<std::byte> digest(algorithm->digest_bytes);
    reader.raw(digest);
    if (algorithm->bank)
      std::ranges::copy(digest, into.of(*algorithm->bank).begin());
  }
}

Extension read_entry(WireReader& reader, const std::vector<Algorithm>& algorithms) {
  Extension extension;
  extension.pcr = reader.u32();
  extension.log_type = static_cast<measure::LogType>(reader.u32());
  if (extension.pcr > max_pcr && extension.log_type != measure::LogType::no_action)
    reader.reject(fmt::format("an entry of PCR {}", extension.pcr));
  read_digests(reader, algorithms, extension.digests);
  extension.log_text = reader.text(max_file_bytes);
  return extension;
}

// The first entry has the older form: PCR, type, one SHA-1 of zeros, body.
Result<std::vector<Algorithm>> read_first_entry(WireReader& reader) {
  const std::uint32_t pcr = reader.u32();
  const std::uint32_t type = reader.u32();
  if (pcr != 0 || type != static_cast<std::uint32_t>(measure::LogType::no_action))
    reader.reject("it does not begin with an EV_NO_ACTION entry");
  measure::Sha1 digest{};
  reader.raw(digest);
  const std::string body = reader.text(max_file_bytes);
  if (!reader.good())
    return std::unexpected(reader.end("the event log").error());
  return read_spec_id(body);
}

} // namespace

Result<EventLog> read_event_log(std::span<const std::byte> bytes) {
  if (bytes.size() > max_log_bytes)
    return limit_failure("reading the event log", fmt::format("it has {} bytes", bytes.size()),
                         fmt::format("{} bytes", max_log_bytes));
  WireReader reader(bytes);
  const std::vector<Algorithm> algorithms = TRY(read_first_entry(reader));
  EventLog log;
  for (const Algorithm& algorithm : algorithms)
    if (algorithm.bank)
      log.banks.push_back(*algorithm.bank);
  for (std::size_t count = 0; reader.good() && !reader.at_end(); ++count) {
    if (count == max_log_events)
      reader.reject(fmt::format("more than {} entries", max_log_events));
    Extension extension = read_entry(reader, algorithms);
    if (extension.log_type != measure::LogType::no_action)
      log.extensions.push_back(std::move(extension));
  }
  TRY(reader.end("the event log"));
  return log;
}

} // namespace ashlar::evidence
