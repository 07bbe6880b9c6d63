// SPDX-License-Identifier: LGPL-2.1-or-later
// `ashlar explain`.
#include <fmt/format.h>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/evidence.hpp"
#include "ashlar/cli/format.hpp"
#include "ashlar/evidence/limits.hpp"

namespace ashlar::cli {

namespace {

using evidence::Difference;
using evidence::Side;

struct NamedSide {
  std::string file;
  Side side;
};

Result<NamedSide> read_side(const std::string& file, const char* name) {
  const std::string bytes = TRY(read_file(file, evidence::max_bundle_bytes));
  Side side = TRY(side_of(bytes, file));
  side.name = name;
  return NamedSide{file, std::move(side)};
}

// What differs: an event, or, of PCR values alone, a PCR.
std::string place_of(const Difference& difference) {
  return difference.position == 0
             ? "a PCR differs: " + difference.covers
             : fmt::format("event {} differs: {}", difference.position, difference.covers);
}

std::string text_of(const NamedSide& first, const NamedSide& second,
                    const std::optional<Difference>& difference) {
  std::string text = fmt::format("A  {} ({})\nB  {} ({})\n", first.file, first.side.kind,
                                 second.file, second.side.kind);
  if (!difference)
    return text + "the same: all that both have is equal\n";
  return text + fmt::format("{}\n  A  {}\n  B  {}\ncause: {}\n", place_of(*difference),
                            difference->first, difference->second, difference->cause);
}

nlohmann::ordered_json json_of(const NamedSide& named) {
  return {{"file", named.file}, {"kind", named.side.kind}};
}

nlohmann::ordered_json json_of(const NamedSide& first, const NamedSide& second,
                               const std::optional<Difference>& difference) {
  nlohmann::ordered_json object = {
      {"same", !difference}, {"A", json_of(first)}, {"B", json_of(second)}};
  if (difference)
    object["first_difference"] = {{"event", difference->position},
                                  {"covers", difference->covers},
                                  {"A", difference->first},
                                  {"B", difference->second},
                                  {"cause", difference->cause}};
  return object;
}

Status set_profile(Side& side, const std::string& profile) {
  if (!profile.empty() && !side.profile && side.events)
    side.profile = TRY(measure::profile_from_text(profile));
  return {};
}

struct Compared {
  NamedSide first;
  NamedSide second;
  std::optional<Difference> difference;
};

Result<Compared> compared(const ExplainArguments& arguments) {
  Compared result;
  result.first = TRY(read_side(arguments.first, "A"));
  result.second = TRY(read_side(arguments.second, "B"));
  TRY(set_profile(result.first.side, arguments.profile));
  TRY(set_profile(result.second.side, arguments.profile));
  std::vector<evidence::KnownFile> known;
  for (const std::string& file : arguments.known) {
    const NamedSide other = TRY(read_side(file, "known"));
    const std::vector<evidence::KnownFile> files = known_files(other.side, file);
    known.insert(known.end(), files.begin(), files.end());
  }
  result.difference = TRY(evidence::compare(result.first.side, result.second.side, known));
  return result;
}

} // namespace

Outcome<Answer> explain(const Arguments& arguments) {
  const Result<Compared> both = compared(arguments.explain);
  if (!both) // not 1, which says that they differ
    return std::unexpected(Problem::usage(both.error()));
  const auto& [first, second, difference] = *both;
  return Answer(arguments.json ? json_text(json_of(first, second, difference)) + "\n"
                               : text_of(first, second, difference),
                difference ? ExitCode::failed : ExitCode::ok);
}

} // namespace ashlar::cli
