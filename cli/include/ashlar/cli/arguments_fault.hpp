// SPDX-License-Identifier: LGPL-2.1-or-later
// What is wrong with a command line, in our words: CLI11's own name its concepts.
#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace ashlar::cli {

/// The value must be a number of that range, in decimal digits.
[[nodiscard]] CLI::Validator whole_number(std::uint64_t first, std::uint64_t last);
/// The value must be one of these words, which the help shows.
[[nodiscard]] CLI::Validator one_of(std::vector<std::string> words);
/// The value must name a file that can be written: "-" would be one of that name, not the standard
/// output, which has the verb's own.
[[nodiscard]] CLI::Validator no_standard_output();
/// Makes an empty value a fault, for all options and arguments of `app` and its verbs but those
/// named in `but`: an empty one must not stand for one that was not given.
void refuse_empty_values(CLI::App& app, const std::vector<std::string>& but);

/// What is wrong, and which help has more. `app` is the whole command's, as the parsing that threw
/// `error` left it.
[[nodiscard]] std::string fault_text(const CLI::App& app, const CLI::ParseError& error);
/// The same for what was found out after the parsing.
[[nodiscard]] std::string with_help(const CLI::App& app, const std::string& fault);

} // namespace ashlar::cli
