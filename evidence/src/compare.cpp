// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/evidence/compare.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "pcr_comparison.hpp"

namespace ashlar::evidence {

namespace {

using measure::Bank;
using measure::Event;
using measure::EventType;
using measure::Extension;
using measure::Profile;

constexpr std::uint32_t uapi_kernel_pcr = 11;
constexpr std::uint32_t grub_text_pcr = 8;
constexpr std::uint32_t pv_grub_kernel_pcr = 4;
constexpr std::string_view name_key = "\nname=";

bool has(const std::vector<Event>& events, EventType type) {
  return std::ranges::find(events, type, &Event::type) != events.end();
}

// Nobody can predict what only a builder knows: what one side leaves open is no difference.
std::vector<Event> comparable(std::vector<Event> events, const std::vector<Event>& other) {
  std::erase_if(events, [&](const Event& event) {
    return (event.type == EventType::builder || event.type == EventType::policy) &&
           !has(other, event.type);
  });
  return events;
}

std::optional<Difference> compare_events(const Side& first, const Side& second,
                                         std::span<const KnownFile> known) {
  const std::vector<Item> one = items_of(comparable(*first.events, *second.events));
  const std::vector<Item> other = items_of(comparable(*second.events, *first.events));
  return first_difference({.first = one,
                           .second = other,
                           .first_name = first.name,
                           .second_name = second.name,
                           .banks = measure::all_banks,
                           .known = known});
}

bool has_pcr(const Side& side, std::uint32_t pcr) {
  if (side.log)
    return std::ranges::find(side.log->extensions, pcr, &Extension::pcr) !=
           side.log->extensions.end();
  return side.pcrs && std::ranges::any_of(
                          *side.pcrs, [&](const auto& bank) { return bank.second.contains(pcr); });
}

// The profile of one side, or that whose PCRs the other one has.
Profile profile_of(const Side& first, const Side& second) {
  if (first.profile)
    return *first.profile;
  if (second.profile)
    return *second.profile;
  const auto either = [&](std::uint32_t pcr) {
    return has_pcr(first, pcr) || has_pcr(second, pcr);
  };
  if (either(uapi_kernel_pcr))
    return Profile::uapi;
  if (either(grub_text_pcr))
    return Profile::grub;
  return either(pv_grub_kernel_pcr) ? Profile::pv_grub : Profile::uapi;
}

// A side's log: its own, or what its events mean.
Result<EventLog> log_of(const Side& side, Profile profile) {
  if (side.log)
    return *side.log;
  const auto banks = measure::banks_of(profile);
  auto extensions = TRY(measure::extensions_of(profile, *side.events));
  return EventLog{{banks.begin(), banks.end()}, std::move(extensions)};
}

Result<std::optional<Difference>> compare_logs(const Side& first, const Side& second,
                                               std::span<const KnownFile> known) {
  const Profile profile = profile_of(first, second);
  const EventLog one = TRY(log_of(first, profile));
  const EventLog other = TRY(log_of(second, profile));
  std::vector<Bank> banks;
  for (const Bank bank : one.banks)
    if (std::ranges::find(other.banks, bank) != other.banks.end())
      banks.push_back(bank);
  if (banks.empty())
    return failure(ErrorCode::invalid, "comparing the logs", "they have no bank in common");
  const std::vector<Item> items = items_of(one.extensions);
  const std::vector<Item> other_items = items_of(other.extensions);
  return first_difference({.first = items,
                           .second = other_items,
                           .first_name = first.name,
                           .second_name = second.name,
                           .banks = banks,
                           .known = known});
}

} // namespace

std::string guest_name(std::span<const Event> events) {
  const auto event = std::ranges::find(events, EventType::configuration, &Event::type);
  if (event == events.end())
    return {};
  const std::size_t at = event->content.find(name_key);
  if (at == std::string::npos)
    return {};
  const std::string_view rest = std::string_view(event->content).substr(at + name_key.size());
  return printable(rest.substr(0, rest.find('\n')));
}

Result<std::optional<Difference>> compare(const Side& first, const Side& second,
                                          std::span<const KnownFile> known) {
  if (first.events && second.events)
    return compare_events(first, second, known);
  if (!first.pcrs && !second.pcrs)
    return compare_logs(first, second, known);
  if (first.pcrs && second.pcrs)
    return compare_pcrs(first, second);
  const Profile profile = profile_of(first, second);
  const bool swapped = first.pcrs.has_value();
  const Side& listed = swapped ? second : first;
  const Side& valued = swapped ? first : second;
  const EventLog log = TRY(log_of(listed, profile));
  std::optional<Difference> difference = TRY(compare_log_with_pcrs({.log = log,
                                                                    .log_name = listed.name,
                                                                    .pcrs = *valued.pcrs,
                                                                    .pcrs_name = valued.name,
                                                                    .known = known}));
  if (difference && swapped)
    std::swap(difference->first, difference->second);
  return difference;
}

} // namespace ashlar::evidence
