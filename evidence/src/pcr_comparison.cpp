// SPDX-License-Identifier: LGPL-2.1-or-later
#include "pcr_comparison.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "ashlar/base/bytes.hpp"
#include "guesses.hpp"

namespace ashlar::evidence {

namespace {

using measure::Bank;
using measure::Digests;
using measure::Extension;

using Bytes = std::vector<std::byte>;

constexpr std::array by_preference = {Bank::sha256, Bank::sha384, Bank::sha1};

bool empty(std::span<const std::byte> value) {
  return std::ranges::all_of(value, [](std::byte byte) { return byte == std::byte{0}; });
}

std::string value_text(Bank bank, std::uint32_t pcr, std::span<const std::byte> value) {
  return fmt::format("{}:{} {}", to_string(bank), pcr, to_hex(value));
}

// The first bank in which both sets have some PCR.
std::optional<Bank> common_bank(const PcrSet& one, const PcrSet& other) {
  for (const Bank bank : by_preference) {
    const auto first = one.find(bank);
    const auto second = other.find(bank);
    if (first != one.end() && second != other.end() &&
        std::ranges::any_of(
            first->second, [&](const auto& entry) { return second->second.contains(entry.first); }))
      return bank;
  }
  return std::nullopt;
}

std::unexpected<Error> nothing_common() {
  return failure(ErrorCode::invalid, "comparing PCR values",
                 "the two have no PCR of one bank in common: read the PCRs of the profile");
}

const char* meaning(std::uint32_t pcr) {
  switch (pcr) {
  case 4:
    return "the kernel (pv-grub), or the firmware's boot loader";
  case 5:
    return "the command line and initrds (pv-grub), or the firmware's partition table";
  case 8:
    return "the configuration and the command line (grub)";
  case 9:
    return "the initrds (uapi), or the kernel and the initrds (grub)";
  case 11:
    return "the kernel (uapi)";
  case 12:
    return "the configuration and the command line (uapi)";
  case 13:
    return "the records of all domains, in a host's TPM";
  default:
    return pcr < 8 ? "the host's firmware" : "nothing that a profile of Ashlar measures";
  }
}

std::string set_cause(const Side& first, const Side& second, std::uint32_t pcr,
                      std::span<const std::byte> one, std::span<const std::byte> other) {
  if (empty(one) != empty(other))
    return fmt::format("PCR {} of {} is empty: nothing was ever measured into it", pcr,
                       empty(one) ? first.name : second.name);
  return fmt::format("PCR {} covers {}; values alone do not tell which event: compare with a "
                     "prediction, record or log",
                     pcr, meaning(pcr));
}

// The events of one PCR, and the PCR's values before and after each.
struct Course {
  std::vector<std::size_t> positions; // in the log, from 0
  std::vector<Extension> events;
  std::vector<Bytes> values; // one more than events
};

// H(value || digest) in one bank.
Result<Bytes> extended(const Bytes& value, const Digests& by, Bank bank) {
  Bytes both = value;
  const std::span<const std::byte> digest = by.of(bank);
  both.insert(both.end(), digest.begin(), digest.end());
  const Digests digests = TRY(measure::digest(both));
  const std::span<const std::byte> result = digests.of(bank);
  return Bytes(result.begin(), result.end());
}

Result<Course> course_of(const EventLog& log, std::uint32_t pcr, Bank bank) {
  Course course;
  course.values.emplace_back(Digests{}.of(bank).size());
  for (std::size_t i = 0; i < log.extensions.size(); ++i) {
    if (log.extensions[i].pcr != pcr)
      continue;
    course.positions.push_back(i);
    course.events.push_back(log.extensions[i]);
    Bytes next = TRY(extended(course.values.back(), log.extensions[i].digests, bank));
    course.values.push_back(std::move(next));
  }
  return course;
}

Difference at_event(const Course& course, std::size_t event, Bank bank,
                    std::span<const std::byte> found) {
  const Extension& extension = course.events[event];
  return {.position = course.positions[event] + 1,
          .covers = items_of(std::span(&extension, 1)).front().covers,
          .first = value_text(bank, extension.pcr, course.values.back()),
          .second = value_text(bank, extension.pcr, found),
          .cause = {}};
}

// Any of the PCR's events may be the one: only of a single one is it said which.
Difference undecided(const LogAndPcrs& sides, const Course& course, Bank bank,
                     std::span<const std::byte> found) {
  Difference difference = at_event(course, 0, bank, found);
  const std::uint32_t pcr = course.events.front().pcr;
  if (course.events.size() == 1) {
    difference.cause = fmt::format(
        "PCR {} covers the {} alone: it is another one in {}, or {} was extended further", pcr,
        difference.covers, sides.pcrs_name, sides.pcrs_name);
    return difference;
  }
  std::vector<std::string> covered;
  for (const Item& item : items_of(course.events))
    covered.push_back(item.covers);
  difference.covers = fmt::format("{}", fmt::join(covered, ", "));
  difference.cause =
      fmt::format("PCR {} covers {}: one of them differs, or {} was extended further; compare with "
                  "its record or log to see which",
                  pcr, difference.covers, sides.pcrs_name);
  difference.position = 0;
  return difference;
}

Result<Difference> explain_pcr(const LogAndPcrs& sides, const Course& course, Bank bank,
                               std::span<const std::byte> found) {
  const std::uint32_t pcr = course.events.front().pcr;
  const auto reached = std::ranges::find_if(
      course.values, [&](const auto& value) { return std::ranges::equal(value, found); });
  if (reached != course.values.end()) {
    const auto count = static_cast<std::size_t>(reached - course.values.begin());
    Difference difference = at_event(course, count, bank, found);
    difference.cause =
        count == 0 ? fmt::format("PCR {} of {} is empty: nothing was ever measured into it", pcr,
                                 sides.pcrs_name)
                   : fmt::format("PCR {} of {} ends before this event: it was never measured", pcr,
                                 sides.pcrs_name);
    return difference;
  }
  if (const auto guess = TRY(guess_event(course.events, bank, found, sides.known))) {
    Difference difference = at_event(course, guess->event, bank, found);
    difference.cause = fmt::format("{}: {}", sides.pcrs_name, guess->cause);
    return difference;
  }
  return undecided(sides, course, bank, found);
}

} // namespace

Result<std::optional<Difference>> compare_pcrs(const Side& first, const Side& second) {
  const std::optional<Bank> bank = common_bank(*first.pcrs, *second.pcrs);
  if (!bank)
    return nothing_common();
  const auto& others = second.pcrs->at(*bank);
  for (const auto& [pcr, value] : first.pcrs->at(*bank)) {
    const auto other = others.find(pcr);
    if (other == others.end() || other->second == value)
      continue;
    return Difference{.position = 0,
                      .covers = meaning(pcr),
                      .first = value_text(*bank, pcr, value),
                      .second = value_text(*bank, pcr, other->second),
                      .cause = set_cause(first, second, pcr, value, other->second)};
  }
  return std::nullopt;
}

Result<std::optional<Difference>> compare_log_with_pcrs(const LogAndPcrs& sides) {
  const measure::PcrValues replayed = TRY(measure::replay(sides.log.extensions));
  const PcrSet expected = pcr_set_of(replayed, sides.log.banks);
  const std::optional<Bank> bank = common_bank(expected, sides.pcrs);
  if (!bank)
    return nothing_common();
  std::optional<Difference> earliest;
  std::size_t earliest_event = 0;
  for (const auto& [pcr, found] : sides.pcrs.at(*bank)) {
    const auto value = expected.at(*bank).find(pcr);
    if (value == expected.at(*bank).end() || value->second == found)
      continue;
    const Course course = TRY(course_of(sides.log, pcr, *bank));
    Difference difference = TRY(explain_pcr(sides, course, *bank, found));
    const std::size_t event =
        difference.position == 0 ? course.positions.front() + 1 : difference.position;
    if (earliest && earliest_event <= event)
      continue;
    earliest = std::move(difference);
    earliest_event = event;
  }
  return earliest;
}

} // namespace ashlar::evidence
