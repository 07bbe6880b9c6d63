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

// A line of a configuration. A device's is named after the device, since there may be more such
// lines: disks by what the guest calls them, network interfaces by their number.
struct Setting {
  std::string name;
  std::string_view value;
  std::string_view line;
};

std::vector<Setting> settings_of(std::string_view text) {
  std::vector<Setting> settings;
  std::size_t nics = 0;
  for (const std::string_view line : split(text, '\n')) {
    const std::string_view key = key_of(line);
    std::string_view value = line.substr(std::min(key.size() + 1, line.size()));
    std::string name = printable(key);
    if (key == "disk") {
      const std::string_view vdev = value.substr(0, value.find(','));
      name = "disk " + printable(vdev);
      value.remove_prefix(std::min(vdev.size() + 1, value.size()));
    } else if (key == "nic") {
      name = fmt::format("nic {}", nics++);
    }
    settings.push_back({std::move(name), value, line});
  }
  return settings;
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

std::string other_value(const TwoTexts& texts, std::string_view name, std::string_view first,
                        std::string_view second) {
  return fmt::format("{} is {} in {}, {} in {}", name, printable(first), texts.first_name,
                     printable(second), texts.second_name);
}

// A device's values are named one by one: "access of disk xvda".
void add_setting_causes(std::vector<std::string>& causes, const TwoTexts& texts,
                        const Setting& first, const Setting& second) {
  const Words one = split(first.value, ',');
  const Words other = split(second.value, ',');
  if (!std::ranges::equal(one, other, {}, key_of, key_of) || one.size() < 2) {
    causes.push_back(other_value(texts, first.name, first.value, second.value));
    return;
  }
  for (std::size_t i = 0; i < one.size(); ++i) {
    const std::size_t key = std::min(key_of(one[i]).size() + 1, one[i].size());
    if (one[i] != other[i])
      causes.push_back(other_value(texts,
                                   fmt::format("{} of {}", printable(key_of(one[i])), first.name),
                                   one[i].substr(key), other[i].substr(key)));
  }
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
  const std::vector<Setting> first = settings_of(texts.first);
  const std::vector<Setting> second = settings_of(texts.second);
  std::vector<std::string> causes;
  for (const Setting& setting : first) {
    const auto other = std::ranges::find(second, setting.name, &Setting::name);
    if (other == second.end())
      causes.push_back(fmt::format("{} lacks {}", texts.second_name, quoted(setting.line)));
    else if (other->line != setting.line)
      add_setting_causes(causes, texts, setting, *other);
  }
  for (const Setting& setting : second)
    if (std::ranges::find(first, setting.name, &Setting::name) == first.end())
      causes.push_back(fmt::format("{} has an extra {}", texts.second_name, quoted(setting.line)));
  if (causes.empty())
    return "the configurations have the same settings in another order or form";
  return fmt::format("{}", fmt::join(causes, "; "));
}

} // namespace ashlar::evidence
