// SPDX-License-Identifier: LGPL-2.1-or-later
// For the property tests: random choices, and words and globs compared in the plainest way.
#pragma once

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ashlar::policy::naive {

using Words = std::optional<std::vector<std::string>>; // nothing: "any"

class Dice {
public:
  explicit Dice(unsigned seed) : engine_(seed) {}
  unsigned below(unsigned limit) { return static_cast<unsigned>(engine_() % limit); }
  bool one_in(unsigned n) { return below(n) == 0; }
  const std::string& pick(const std::vector<std::string>& all) {
    return all[below(static_cast<unsigned>(all.size()))];
  }
  std::vector<std::string> some(const std::vector<std::string>& all) {
    std::vector<std::string> chosen = {pick(all)};
    for (const std::string& word : all)
      if (one_in(3) && std::ranges::find(chosen, word) == chosen.end())
        chosen.push_back(word);
    return chosen;
  }
  Words some_or_any(const std::vector<std::string>& all) {
    return one_in(4) ? Words() : Words(some(all));
  }

private:
  std::mt19937 engine_;
};

inline std::string toml(const Words& words) {
  if (!words)
    return "\"any\"";
  return fmt::format("[\"{}\"]", fmt::join(*words, "\", \""));
}

inline bool glob_fits(std::string_view glob, std::string_view text) {
  if (glob.empty())
    return text.empty();
  if (glob[0] == '*')
    return glob_fits(glob.substr(1), text) || (!text.empty() && glob_fits(glob, text.substr(1)));
  return !text.empty() && (glob[0] == '?' || glob[0] == text[0]) &&
         glob_fits(glob.substr(1), text.substr(1));
}

inline bool listed(const Words& words, const std::string& word) {
  return !words || std::ranges::count(*words, word) == 1;
}

inline bool fits_one(const Words& words, const std::string& text) {
  return !words ||
         std::ranges::any_of(*words, [&](const auto& glob) { return glob_fits(glob, text); });
}

} // namespace ashlar::policy::naive
