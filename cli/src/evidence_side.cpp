// SPDX-License-Identifier: LGPL-2.1-or-later
// What kind of evidence is in a file, and what it says.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/evidence.hpp"
#include "ashlar/evidence/bundle.hpp"
#include "ashlar/evidence/reference.hpp"
#include "evidence_json.hpp"

namespace ashlar::cli {

namespace {

using evidence::Side;

constexpr std::string_view record_start = "ASHR";
constexpr std::string_view reference_start = "ashlar-reference=";
constexpr std::string_view log_start("\0\0\0\0\3\0\0\0", 8); // PCR 0, EV_NO_ACTION
constexpr std::string_view archive_magic = "ustar";
constexpr std::size_t archive_magic_at = 257;

Side side_of_kind(const char* kind) {
  Side side;
  side.kind = kind;
  return side;
}

Result<Side> of_record(std::span<const std::byte> bytes) {
  Side side = side_of_kind("record");
  measure::Record record = TRY(measure::decode(bytes));
  side.whose = fmt::format("record {}", record.serial);
  side.events = std::move(record.events);
  return side;
}

Result<Side> of_bundle(std::span<const std::byte> bytes) {
  const evidence::Bundle bundle = TRY(evidence::read_bundle(bytes));
  Side side = TRY(of_record(bundle.record));
  side.kind = "record of a bundle that was not verified";
  side.profile = bundle.profile;
  return side;
}

Result<Side> of_reference(std::string_view text, const std::string& file) {
  evidence::Reference reference = TRY(evidence::read_reference(text, file));
  Side side = side_of_kind("reference");
  side.profile = reference.profile;
  side.events = std::move(reference.events);
  return side;
}

Result<Side> of_log(std::span<const std::byte> bytes) {
  Side side = side_of_kind("event log");
  side.log = TRY(evidence::read_event_log(bytes));
  return side;
}

Result<Side> of_pcrs(std::string_view text, const std::string& file) {
  Side side = side_of_kind("PCR values");
  auto pcrs = evidence::read_pcr_set(text, file);
  if (!pcrs) // the last kind that is tried, and perhaps not the one that was meant
    return failure(pcrs.error().code, "reading " + file,
                   fmt::format("{} (as PCR values: {})", no_evidence, pcrs.error().message()));
  side.pcrs = std::move(*pcrs);
  return side;
}

Result<Side> read_side(std::string_view bytes, const std::string& file) {
  if (bytes.starts_with(record_start))
    return of_record(as_bytes(bytes));
  if (bytes.starts_with(reference_start))
    return of_reference(bytes, file);
  if (bytes.starts_with(log_start))
    return of_log(as_bytes(bytes));
  if (bytes.size() > archive_magic_at && bytes.substr(archive_magic_at).starts_with(archive_magic))
    return of_bundle(as_bytes(bytes));
  const std::size_t start = bytes.find_first_not_of(" \t\r\n");
  if (start != bytes.npos && (bytes[start] == '{' || bytes[start] == '['))
    return side_of_json(bytes, file);
  return of_pcrs(bytes, file);
}

} // namespace

Result<Side> side_of(std::string_view bytes, const std::string& file) {
  Side side = TRY(read_side(bytes, file));
  const std::string guest = side.events ? evidence::guest_name(*side.events) : std::string();
  if (!guest.empty())
    side.whose += fmt::format("{}guest {}", side.whose.empty() ? "" : " of ", guest);
  return side;
}

std::vector<evidence::KnownFile> known_files(const Side& side, const std::string& file) {
  std::vector<evidence::KnownFile> known;
  if (!side.events)
    return known;
  for (const measure::Event& event : *side.events)
    if (!keeps_content(event.type))
      known.push_back(
          {fmt::format("{} {} of {}", to_string(event.type), printable(event.label),
                       side.whose.empty() ? printable(file)
                                          : fmt::format("{} ({})", side.whose, printable(file))),
           event.digests});
  return known;
}

} // namespace ashlar::cli
