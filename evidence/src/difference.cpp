// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/evidence/difference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "ashlar/base/bytes.hpp"
#include "texts.hpp"

namespace ashlar::evidence {

namespace {

using measure::Bank;
using measure::EventType;

bool holds_file(const Item& item) {
  return item.type == EventType::kernel || item.type == EventType::initrd;
}

// SHA-256 where both sides have it.
Bank shown_bank(const Comparison& comparison) {
  return std::ranges::find(comparison.banks, Bank::sha256) != comparison.banks.end()
             ? Bank::sha256
             : comparison.banks.front();
}

bool same_digests(const Comparison& comparison, const measure::Digests& one,
                  const measure::Digests& other) {
  return std::ranges::all_of(comparison.banks, [&](Bank bank) {
    return std::ranges::equal(one.of(bank), other.of(bank));
  });
}

bool same(const Comparison& comparison, const Item& one, const Item& other) {
  return one.type == other.type && one.pcr == other.pcr &&
         same_digests(comparison, one.digests, other.digests);
}

std::string value_of(const Comparison& comparison, const Item* item) {
  if (item == nullptr)
    return "none";
  const Bank bank = shown_bank(comparison);
  std::string text = fmt::format("{}:{}", to_string(bank), to_hex(item->digests.of(bank)));
  if (item->content && !item->content->empty())
    text += fmt::format(" \"{}\"", printable(*item->content, measure::max_content_bytes));
  else if (!item->label.empty())
    text += fmt::format(" ({})", printable(item->label));
  return text;
}

// Who else has this file: another place of the other list, or a known one.
std::string known_as(const Comparison& comparison, const Item& item, std::span<const Item> others,
                     const std::string& others_name) {
  for (std::size_t i = 0; i < others.size(); ++i)
    if (holds_file(others[i]) && same_digests(comparison, item.digests, others[i].digests))
      return fmt::format("it is the file of event {} ({}) of {}", i + 1, others[i].covers,
                         others_name);
  for (const KnownFile& known : comparison.known)
    if (same_digests(comparison, item.digests, known.digests))
      return "it is the same file as the " + known.name;
  return {};
}

std::string file_cause(const Comparison& comparison, const Item& first, const Item& second) {
  std::string cause =
      fmt::format("the {} of {} is another file", second.covers, comparison.second_name);
  std::string where = known_as(comparison, second, comparison.first, comparison.first_name);
  if (!where.empty())
    return cause + ": " + where;
  where = known_as(comparison, first, comparison.second, comparison.second_name);
  if (!where.empty())
    return fmt::format("{}; as to that of {}, {}", cause, comparison.first_name, where);
  return cause;
}

std::string missing_cause(const Comparison& comparison, const Item* first, const Item* second) {
  const Item& there = first != nullptr ? *first : *second;
  const std::string& lacking = first != nullptr ? comparison.second_name : comparison.first_name;
  const std::string& having = first != nullptr ? comparison.first_name : comparison.second_name;
  if (there.type == EventType::initrd)
    return fmt::format("{} has fewer initrds than {}", lacking, having);
  return fmt::format("{} ends before the {} of {}", lacking, there.covers, having);
}

std::string type_cause(const Comparison& comparison, const Item& first, const Item& second) {
  if (first.type == EventType::no_initrd)
    return fmt::format("{} has an initrd, {} has none", comparison.second_name,
                       comparison.first_name);
  if (second.type == EventType::no_initrd)
    return fmt::format("{} has no initrd, {} has one", comparison.second_name,
                       comparison.first_name);
  return fmt::format("{} has a {} here, {} a {}", comparison.first_name, first.covers,
                     comparison.second_name, second.covers);
}

std::string content_cause(const Comparison& comparison, const Item& first, const Item& second) {
  if (!first.content || !second.content)
    return fmt::format("the {} differs", first.covers);
  if (std::max(first.content->size(), second.content->size()) > measure::max_content_bytes)
    return fmt::format("the {} differs, and is longer than any that a builder measures",
                       first.covers);
  if (*first.content == *second.content)
    return "both say the same text: the digest of one of them is not that of its text";
  const TwoTexts texts = {*first.content, *second.content, comparison.first_name,
                          comparison.second_name};
  switch (first.type.value_or(EventType::kernel)) {
  case EventType::command_line:
    return command_line_cause(texts);
  case EventType::configuration:
    return configuration_cause(texts);
  case EventType::builder:
    return "they were built by different builders";
  case EventType::policy:
    return "they were built under different policies";
  default:
    return fmt::format("the {} differs", first.covers);
  }
}

std::string cause_of(const Comparison& comparison, const Item* first, const Item* second) {
  if (first == nullptr || second == nullptr)
    return missing_cause(comparison, first, second);
  if (first->type != second->type)
    return type_cause(comparison, *first, *second);
  if (first->pcr != second->pcr)
    return fmt::format("it is in PCR {} in {}, in PCR {} in {}: they have different profiles",
                       first->pcr.value_or(0), comparison.first_name, second->pcr.value_or(0),
                       comparison.second_name);
  if (holds_file(*first))
    return file_cause(comparison, *first, *second);
  return content_cause(comparison, *first, *second);
}

} // namespace

std::vector<Item> items_of(std::span<const measure::Event> events) {
  std::vector<Item> items;
  for (const measure::Event& event : events)
    items.push_back(
        {.type = event.type,
         .pcr = std::nullopt,
         .covers = to_string(event.type),
         .label = event.label,
         .content = keeps_content(event.type) ? std::optional(event.content) : std::nullopt,
         .digests = event.digests});
  return items;
}

std::optional<Difference> first_difference(const Comparison& comparison) {
  for (std::size_t i = 0;; ++i) {
    const Item* const first = i < comparison.first.size() ? &comparison.first[i] : nullptr;
    const Item* const second = i < comparison.second.size() ? &comparison.second[i] : nullptr;
    if (first == nullptr && second == nullptr)
      return std::nullopt;
    if (first != nullptr && second != nullptr && same(comparison, *first, *second))
      continue;
    return Difference{.position = i + 1,
                      .covers = first != nullptr ? first->covers : second->covers,
                      .first = value_of(comparison, first),
                      .second = value_of(comparison, second),
                      .cause = cause_of(comparison, first, second)};
  }
}

} // namespace ashlar::evidence
