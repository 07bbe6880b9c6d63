// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/arguments_fault.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>
#include <string_view>

#include "ashlar/base/bytes.hpp"

namespace ashlar::cli {

namespace {

constexpr std::size_t max_typing_mistakes = 2; // a word with more is no near one

// The verb that the command line had got to, and its name: "ashlar policy sign".
struct Place {
  const CLI::App* app;
  std::string name;
};

Place place_in(const CLI::App& app) {
  Place place{&app, app.get_name()};
  while (!place.app->get_subcommands().empty()) {
    place.app = place.app->get_subcommands().front();
    place.name += " " + place.app->get_name();
  }
  return place;
}

bool wants_verb(const CLI::App& app) {
  return app.get_require_subcommand_min() > 0;
}

// How many letters must be typed anew, inserted or left out (Levenshtein's distance).
std::size_t mistakes(std::string_view typed, std::string_view meant) {
  std::vector<std::size_t> row(meant.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < typed.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < meant.size(); ++j) {
      const std::size_t same_so_far = diagonal + (typed[i] == meant[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({same_so_far, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

// " (did you mean X?)", or all that are as near, or nothing where no word is near.
std::string near_word(const std::string& typed, const std::vector<std::string>& words) {
  std::size_t least = std::min(max_typing_mistakes + 1, typed.size());
  std::vector<std::string> nearest;
  for (const std::string& word : words) {
    const std::size_t count = mistakes(typed, word);
    if (count < least) {
      least = count;
      nearest.clear();
    }
    if (count == least && count <= max_typing_mistakes && count < typed.size())
      nearest.push_back(word);
  }
  return nearest.empty() ? "" : fmt::format(" (did you mean {}?)", fmt::join(nearest, " or "));
}

std::vector<std::string> verbs_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* const verb : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(verb->get_name());
  return names;
}

// Those of the verb and of the whole command, which may stand behind the verb.
std::vector<std::string> options_of(const CLI::App& app, const CLI::App& verb) {
  std::vector<std::string> names;
  for (const CLI::App* const from : {&verb, &app})
    for (const CLI::Option* const option : from->get_options())
      for (const std::string& name : option->get_lnames())
        names.push_back("--" + name);
  return names;
}

// What is said of a word that nothing took.
std::string stray_text(const CLI::App& app, const Place& place, const std::string& word) {
  const std::string shown = printable(word);
  if (word.starts_with('-') && word.size() > 1)
    return fmt::format("{} has no option {}{}", place.name, shown,
                       near_word(word.substr(0, word.find('=')), options_of(app, *place.app)));
  if (wants_verb(*place.app))
    return fmt::format("\"{}\" is no verb of {}{}", shown, place.name,
                       near_word(word, verbs_of(*place.app)));
  return fmt::format("\"{}\" is one argument too many for {}", shown, place.name);
}

// "--kernel: 1 required TEXT missing", "--kernel: At Most 1 required but received 2"
std::string count_text(const std::string& said) {
  const std::string name = said.substr(0, said.find(": "));
  if (said.contains("missing"))
    return name + " must have a value";
  if (said.contains("At Most"))
    return name + " is given more than once";
  if (const std::size_t flag = said.find(" was given a disallowed"); flag != said.npos)
    return said.substr(0, flag) + " takes no value";
  return said;
}

std::string text_of(const CLI::App& app, const Place& place, const CLI::ParseError& error) {
  const auto kind = static_cast<CLI::ExitCodes>(error.get_exit_code());
  // A word that nothing took explains best what seems to be missing.
  const std::vector<std::string> stray = app.remaining(true);
  if ((kind == CLI::ExitCodes::RequiredError || kind == CLI::ExitCodes::ExtrasError) &&
      !stray.empty())
    return stray_text(app, place, stray.front());
  if (kind == CLI::ExitCodes::RequiredError && wants_verb(*place.app))
    return fmt::format("a verb is missing after {}: {}", place.name,
                       fmt::join(verbs_of(*place.app), ", "));
  if (kind == CLI::ExitCodes::ArgumentMismatch)
    return count_text(error.what());
  return error.what();
}

} // namespace

CLI::Validator whole_number(std::uint64_t first, std::uint64_t last) {
  const std::string range = last == std::numeric_limits<std::uint64_t>::max()
                                ? "a number"
                                : fmt::format("a number from {} to {}", first, last);
  const auto check = [=](const std::string& text) -> std::string {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number);
    if (read.ec == std::errc{} && read.ptr == end && number >= first && number <= last)
      return {};
    return fmt::format("it must be {}, not \"{}\"", range, printable(text));
  };
  return CLI::Validator(check, "");
}

CLI::Validator one_of(std::vector<std::string> words) {
  const std::string shown = fmt::format("{{{}}}", fmt::join(words, ","));
  const auto check = [words = std::move(words)](const std::string& text) -> std::string {
    if (std::ranges::find(words, text) != words.end())
      return {};
    return fmt::format("it must be one of {}, not \"{}\"", fmt::join(words, ", "), printable(text));
  };
  return CLI::Validator(check, shown);
}

CLI::Validator no_standard_output() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        return text == "-" ? "it must be a file: the standard output has the prediction or the "
                             "record (./- is a file of that name)"
                           : "";
      },
      "");
}

void refuse_empty_values(CLI::App& app, const std::vector<std::string>& but) {
  const CLI::Validator filled(
      [](const std::string& text) -> std::string {
        return text.empty() ? "it must not be empty" : "";
      },
      "");
  for (CLI::Option* const option : app.get_options())
    if (option->get_items_expected_max() > 0 &&
        std::ranges::find(but, option->get_name()) == but.end())
      option->check(filled);
  for (CLI::App* const verb : app.get_subcommands([](const CLI::App*) { return true; }))
    refuse_empty_values(*verb, but);
}

std::string with_help(const CLI::App& app, const std::string& fault) {
  return fmt::format("{}; see {} --help", fault, place_in(app).name);
}

std::string fault_text(const CLI::App& app, const CLI::ParseError& error) {
  return with_help(app, text_of(app, place_in(app), error));
}

} // namespace ashlar::cli
