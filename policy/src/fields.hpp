// SPDX-License-Identifier: LGPL-2.1-or-later
// Strict reading of one TOML table: each key that is asked for is known, every other one is an
// error.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "document.hpp"
#include "model.hpp"

namespace ashlar::policy {

using Findings = std::vector<Finding>;

void add_error(Findings& findings, const Location& where, std::string message);
void add_warning(Findings& findings, const Location& where, std::string message);

/// The keys of one table. A value of the wrong type or out of range becomes a finding and reads as
/// absent.
class Fields {
public:
  /// `what` names the table in messages: "[[rule]]". All arguments outlive the object.
  Fields(const Node& table, std::string what, Findings& findings)
      : table_(table), what_(std::move(what)), findings_(findings) {}

  [[nodiscard]] const Location& where() const { return table_.where; }
  [[nodiscard]] const std::string& what() const { return what_; }

  /// The entry as written, whatever its type.
  [[nodiscard]] const Entry* entry(std::string_view key);
  /// A string of 1 to max_word_bytes bytes of printable ASCII.
  [[nodiscard]] std::optional<Word> text(std::string_view key);
  /// A string that is one of `words`; any other is an error that lists them.
  [[nodiscard]] std::optional<Word> word(std::string_view key,
                                         std::span<const std::string_view> words);
  [[nodiscard]] std::optional<bool> boolean(std::string_view key);
  /// An integer from `least` to `most`.
  [[nodiscard]] std::optional<std::uint64_t> number(std::string_view key, std::uint64_t least,
                                                    std::uint64_t most);
  /// An array of strings without repetition; a single string counts as an array of one.
  [[nodiscard]] std::optional<std::vector<Word>> texts(std::string_view key);
  /// The string "any", or an array of strings without repetition.
  [[nodiscard]] std::optional<Choice> choice(std::string_view key);
  /// A text of several lines and at most max_block_bytes, such as a PEM text.
  [[nodiscard]] std::optional<Word> block(std::string_view key);
  /// An array of such texts; a single one counts as an array of one.
  [[nodiscard]] std::vector<Word> blocks(std::string_view key);
  /// A list of digests of 64 hexadecimal digits; absent and empty give none.
  struct Digest {
    measure::Sha256 sha256{};
    Location where;
  };
  [[nodiscard]] std::vector<Digest> digests(std::string_view key);
  /// A table below this one, such as [rule.guest].
  [[nodiscard]] const Node* table(std::string_view key);

  void error(const Location& where, std::string message);
  /// An error at the table: a key that must be there is not. `what_to_do` ends the sentence.
  void missing(std::string_view key, std::string_view what_to_do);
  /// Reports all keys that nobody asked for. Call once, after the last key was read.
  void report_unknown();

private:
  const Node* value(std::string_view key, Node::Kind kind);
  std::optional<Word> checked_block(const Node& node, std::string_view key);
  std::optional<Word> checked_word(const Node& node, std::string_view key);
  std::vector<Word> words_of(const Node& list, std::string_view key);

  const Node& table_;
  std::string what_;
  Findings& findings_;
  std::vector<std::string_view> known_;
};

/// The longest string that a policy file may hold, in bytes: the longest command line.
inline constexpr std::size_t max_word_bytes = 2047;
/// The longest text of several lines: a signed manifest of some thousand images.
inline constexpr std::size_t max_block_bytes = 256u << 10;

} // namespace ashlar::policy
