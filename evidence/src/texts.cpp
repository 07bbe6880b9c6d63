// SPDX-License-Identifier: LGPL-2.1-or-later
#include "texts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "ashlar/base/bytes.hpp"

namespace ashlar::evidence {

namespace {

using Words = std::vector<std::string_view>;

constexpr std::size_t shown_words = 8;

Words split(std::string_view text, char separator) {
  Words words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0)
      words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::string_view key_of(std::string_view word) {
  return word.substr(0, word.find('='));
}

// The words of `from` that `without` has not, each as often as it is missing.
Words missing(const Words& from, Words without) {
  Words result;
  for (const std::string_view word : from) {
    const auto same = std::ranges::find(without, word);
    if (same == without.end())
      result.push_back(word);
    else
      without.erase(same);
  }
  return result;
}

std::string quoted(std::string_view word) {
  return "`" + printable(word) + "`";
}

std::string quoted(const Words& words) {
  std::vector<std::string> shown;
  for (const std::string_view word : words) {
    if (shown.size() == shown_words) {
      shown.emplace_back("…");
      break;
    }
    shown.push_back(quoted(word));
  }
  return fmt::format("{}", fmt::join(shown, ", "));
}

} // namespace

std::string command_line_cause(const TwoTexts& texts) {
  const Words first = split(texts.first, ' ');
  const Words second = split(texts.second, ' ');
  Words gone = missing(first, second);
  Words extra = missing(second, first);
  if (gone.empty() && extra.empty())
    return first == second ? "the command lines differ in their spaces only"
                           : "the command lines have the same words in another order";
  if (second.empty())
    return fmt::format("the command line of {} is empty", texts.second_name);
  std::vector<std::string> causes;
  // A word that has another value is one difference, not two.
  for (auto word = extra.begin(); word != extra.end();) {
    const auto other = std::ranges::find(gone, key_of(*word), key_of);
    if (word->find('=') == word->npos || other == gone.end()) {
      ++word;
      continue;
    }
    causes.push_back(
        fmt::format("has {} where {} has {}", quoted(*word), texts.first_name, quoted(*other)));
    gone.erase(other);
    word = extra.erase(word);
  }
  if (!extra.empty())
    causes.push_back("has an extra " + quoted(extra));
  if (!gone.empty())
    causes.push_back("lacks " + quoted(gone));
  return fmt::format("the command line of {} {}", texts.second_name, fmt::join(causes, ", and "));
}

std::string configuration_cause(const TwoTexts& texts) {
  const Words first = split(texts.first, '\n');
  const Words second = split(texts.second, '\n');
  std::vector<std::string> causes;
  for (const std::string_view line : first) {
    const auto other = std::ranges::find(second, key_of(line), key_of);
    if (other == second.end())
      causes.push_back(fmt::format("{} lacks {}", texts.second_name, quoted(line)));
    else if (*other != line)
      causes.push_back(fmt::format(
          "{} is {} in {}, {} in {}", printable(key_of(line)),
          printable(line.substr(std::min(key_of(line).size() + 1, line.size()))), texts.first_name,
          printable(other->substr(std::min(key_of(line).size() + 1, other->size()))),
          texts.second_name));
  }
  for (const std::string_view line : second)
    if (std::ranges::find(first, key_of(line), key_of) == first.end())
      causes.push_back(fmt::format("{} has an extra {}", texts.second_name, quoted(line)));
  if (causes.empty())
    return "the configurations have the same settings in another form";
  return fmt::format("{}", fmt::join(causes, "; "));
}

} // namespace ashlar::evidence
