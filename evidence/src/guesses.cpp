// SPDX-License-Identifier: LGPL-2.1-or-later
#include "guesses.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/limits.hpp"

namespace ashlar::evidence {

namespace {

using measure::Bank;
using measure::Digests;
using measure::EventType;
using measure::Extension;

// Words that are added by hand, or by a distribution.
constexpr std::array<std::string_view, 8> common_words = {
    "quiet", "splash", "debug", "ro", "rw", "single", "nomodeset", "emergency"};

struct Question {
  const std::vector<Extension>& events;
  Bank bank;
  std::span<const std::byte> value;
};

// Is this the PCR's value with another digest in the place of one event's?
Result<bool> gives_value(const Question& question, std::size_t event, const Digests& digests) {
  std::vector<Extension> changed = question.events;
  changed[event].digests = digests;
  const measure::PcrValues values = TRY(measure::replay(changed));
  return std::ranges::equal(values.begin()->second.of(question.bank), question.value);
}

Result<std::optional<Guess>> guess_file(const Question& question, std::size_t event,
                                        const Item& item, std::span<const KnownFile> known) {
  const bool none = item.type == EventType::no_initrd;
  for (const KnownFile& file : known)
    if (TRY(gives_value(question, event, file.digests)))
      return Guess{event, fmt::format("{}: the same as the {}",
                                      none ? std::string("there is an initrd")
                                           : fmt::format("the {} is another file", item.covers),
                                      file.name)};
  return std::nullopt;
}

// An initrd that is not there is measured as the empty string.
Result<std::optional<Guess>> guess_no_initrd(const Question& question, std::size_t event) {
  const Digests nothing = TRY(measure::digest({}));
  if (!TRY(gives_value(question, event, nothing)))
    return std::nullopt;
  return Guess{event, "there is no initrd"};
}

struct Variant {
  std::string text;
  std::string cause;
};

std::vector<Variant> variants_of(const std::string& line) {
  std::vector<Variant> variants;
  if (line.size() > measure::max_content_bytes)
    return variants;
  for (const std::string_view word : common_words) {
    const std::string cause = fmt::format("the command line has an extra `{}`", word);
    variants.push_back(
        {line.empty() ? std::string(word) : fmt::format("{} {}", line, word), cause});
    variants.push_back({fmt::format("{} {}", word, line), cause});
  }
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t end = std::min(line.find(' ', at), line.size());
    std::string without = line.substr(0, at) + line.substr(std::min(end + 1, line.size()));
    if (end == line.size() && without.ends_with(' '))
      without.pop_back();
    variants.push_back({without, fmt::format("the command line lacks `{}`",
                                             printable(line.substr(at, end - at)))});
    at = end + 1;
  }
  return variants;
}

Result<std::optional<Guess>> guess_words(const Question& question, std::size_t event,
                                         const std::string& line) {
  for (const Variant& variant : variants_of(line)) {
    const Digests digests = TRY(measure::digest(as_bytes(variant.text)));
    if (TRY(gives_value(question, event, digests)))
      return Guess{event, variant.cause};
  }
  return std::nullopt;
}

} // namespace

Result<std::optional<Guess>> guess_event(const std::vector<Extension>& events, Bank bank,
                                         std::span<const std::byte> value,
                                         std::span<const KnownFile> known) {
  if (events.size() > max_guess_events)
    return std::nullopt;
  const Question question = {events, bank, value};
  const std::vector<Item> items = items_of(events);
  for (std::size_t i = 0; i < items.size(); ++i) {
    std::optional<Guess> guess;
    if (items[i].type == EventType::initrd)
      guess = TRY(guess_no_initrd(question, i));
    if (guess)
      return guess;
    if (items[i].type == EventType::kernel || items[i].type == EventType::initrd ||
        items[i].type == EventType::no_initrd)
      guess = TRY(guess_file(question, i, items[i], known));
    else if (items[i].type == EventType::command_line && items[i].content)
      guess = TRY(guess_words(question, i, *items[i].content));
    if (guess)
      return guess;
  }
  return std::nullopt;
}

} // namespace ashlar::evidence
