// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/evidence/pcr_list.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/limits.hpp"

namespace ashlar::evidence {

namespace {

constexpr std::string_view line_start = "sha256:";

using Line = std::pair<std::uint32_t, measure::Sha256>;

std::unexpected<Error> bad(std::string_view what, std::size_t line, const char* why) {
  return failure(ErrorCode::invalid, fmt::format("reading line {} of {}", line, what), why);
}

bool lower_case_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == text.npos;
}

Result<Line> read_line(std::string_view line, std::string_view what, std::size_t number) {
  const std::size_t space = line.find(' ');
  if (!line.starts_with(line_start) || space == line.npos)
    return bad(what, number, "it is not \"sha256:N HEX\"");
  const std::string_view digits = line.substr(line_start.size(), space - line_start.size());
  std::uint32_t pcr = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), pcr);
  if (error != std::errc() || end != digits.data() + digits.size() || pcr > max_pcr ||
      digits != std::to_string(pcr))
    return bad(what, number, "its PCR is not a number from 0 to 23");
  const std::string_view hex = line.substr(space + 1);
  if (!lower_case_hex(hex) || hex.size() != 2 * sizeof(measure::Sha256))
    return bad(what, number, "its value is not 64 lower-case hexadecimal digits");
  const measure::Sha256 value = TRY(measure::sha256_from_hex(hex, std::string(what)));
  return Line{pcr, value};
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

} // namespace

Result<PcrList> read_pcr_list(std::string_view text, std::string_view what) {
  if (text.empty() || text.back() != '\n')
    return bad(what, 1, "it is empty, or its last line has no end");
  PcrList list;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const Line line = TRY(read_line(take_line(text), what, number));
    if (!list.empty() && list.rbegin()->first >= line.first)
      return bad(what, number, "the PCRs do not rise");
    list.insert(line);
  }
  return list;
}

Result<PcrChoices> read_pcr_choices(std::string_view text, std::string_view what) {
  PcrChoices choices;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    if (line.empty() || line.front() == '#')
      continue;
    const auto [pcr, value] = TRY(read_line(line, what, number));
    if (value == measure::Sha256{})
      return bad(what, number, "a PCR of zeros was never extended: it proves nothing");
    choices[pcr].insert(value);
  }
  if (choices.empty())
    return bad(what, 1, "it names no PCR: remove the file if the firmware is not to be judged");
  return choices;
}

} // namespace ashlar::evidence
