// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fields.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ashlar/base/bytes.hpp"

namespace ashlar::policy {

void add_error(Findings& findings, const Location& where, std::string message) {
  findings.push_back(
      {.severity = Finding::Severity::error, .where = where, .message = std::move(message)});
}

void add_warning(Findings& findings, const Location& where, std::string message) {
  findings.push_back(
      {.severity = Finding::Severity::warning, .where = where, .message = std::move(message)});
}

void Fields::error(const Location& where, std::string message) {
  add_error(findings_, where, std::move(message));
}

void Fields::missing(std::string_view key, std::string_view what_to_do) {
  error(where(), fmt::format("{} has no \"{}\": {}", what_, key, what_to_do));
}

const Entry* Fields::entry(std::string_view key) {
  known_.push_back(key);
  const auto found = std::ranges::find(table_.entries, key, &Entry::key);
  return found == table_.entries.end() ? nullptr : &*found;
}

const Node* Fields::value(std::string_view key, Node::Kind kind) {
  const Entry* found = entry(key);
  if (found == nullptr || found->value.kind == kind)
    return found == nullptr ? nullptr : &found->value;
  error(found->where, fmt::format("\"{}\" in {} is {}: write {}", key, what_,
                                  to_string(found->value.kind), to_string(kind)));
  return nullptr;
}

std::optional<Word> Fields::checked_word(const Node& node, std::string_view key) {
  if (node.text.size() > max_word_bytes) {
    error(node.where, fmt::format("the string in \"{}\" has {} bytes, above the limit of {}: "
                                  "shorten it",
                                  key, node.text.size(), max_word_bytes));
    return std::nullopt;
  }
  // What cannot be seen in the file must not make a difference in a decision.
  if (!std::ranges::all_of(node.text, [](char c) { return c >= ' ' && c <= '~'; })) {
    error(node.where, fmt::format("\"{}\" in \"{}\" holds a byte that is not printable ASCII: "
                                  "remove it",
                                  printable(node.text, 80), key));
    return std::nullopt;
  }
  return Word{.text = node.text, .where = node.where};
}

std::optional<Word> Fields::text(std::string_view key) {
  const Node* node = value(key, Node::Kind::text);
  if (node == nullptr)
    return std::nullopt;
  if (node->text.empty()) {
    error(node->where, fmt::format("\"{}\" in {} is empty: give it a value", key, what_));
    return std::nullopt;
  }
  return checked_word(*node, key);
}

std::optional<Word> Fields::word(std::string_view key, std::span<const std::string_view> words) {
  auto found = text(key);
  if (!found || std::ranges::find(words, found->text) != words.end())
    return found;
  error(found->where, fmt::format("\"{}\" in {} is \"{}\": write one of: {}", key, what_,
                                  found->text, fmt::join(words, ", ")));
  return std::nullopt;
}

std::optional<bool> Fields::boolean(std::string_view key) {
  const Node* node = value(key, Node::Kind::boolean);
  return node == nullptr ? std::nullopt : std::optional(node->boolean);
}

std::optional<std::uint64_t> Fields::number(std::string_view key, std::uint64_t least,
                                            std::uint64_t most) {
  const Node* node = value(key, Node::Kind::integer);
  if (node == nullptr)
    return std::nullopt;
  if (std::cmp_less(node->integer, least) || std::cmp_greater(node->integer, most)) {
    error(node->where, fmt::format("\"{}\" in {} is {}: write a number from {} to {}", key, what_,
                                   node->integer, least, most));
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(node->integer);
}

std::vector<Word> Fields::words_of(const Node& list, std::string_view key) {
  std::vector<Word> words;
  for (const Node& item : list.items) {
    if (item.kind != Node::Kind::text) {
      error(item.where, fmt::format("the array \"{}\" holds {}: write strings only", key,
                                    to_string(item.kind)));
      continue;
    }
    if (std::ranges::find(words, item.text, &Word::text) != words.end()) {
      error(item.where,
            fmt::format("\"{}\" is twice in \"{}\": delete one", printable(item.text, 80), key));
      continue;
    }
    if (auto word = checked_word(item, key))
      words.push_back(std::move(*word));
  }
  return words;
}

std::optional<std::vector<Word>> Fields::texts(std::string_view key) {
  const Entry* found = entry(key);
  if (found == nullptr)
    return std::nullopt;
  if (found->value.kind == Node::Kind::list)
    return words_of(found->value, key);
  if (found->value.kind != Node::Kind::text) {
    error(found->where, fmt::format("\"{}\" in {} is {}: write a string or an array of strings",
                                    key, what_, to_string(found->value.kind)));
    return std::nullopt;
  }
  std::vector<Word> words;
  if (auto word = checked_word(found->value, key))
    words.push_back(std::move(*word));
  return words;
}

std::optional<Choice> Fields::choice(std::string_view key) {
  const Entry* found = entry(key);
  if (found == nullptr)
    return std::nullopt;
  if (found->value.kind == Node::Kind::list) {
    // Would be one image or requester of that name, which nobody means.
    for (const Node& item : found->value.items)
      if (item.text == "any")
        error(item.where,
              fmt::format("\"any\" in brackets in \"{}\": write {} = \"any\" to leave it "
                          "open, or list words",
                          key, key));
    return Choice{.any = false, .words = words_of(found->value, key), .where = found->where};
  }
  if (found->value.kind == Node::Kind::text && found->value.text == "any")
    return Choice{.any = true, .words = {}, .where = found->where};
  error(found->where,
        fmt::format("\"{}\" in {} is {}: write an array of strings, or \"any\" without brackets",
                    key, what_,
                    found->value.kind == Node::Kind::text
                        ? fmt::format("\"{}\"", printable(found->value.text, 80))
                        : to_string(found->value.kind)));
  return std::nullopt;
}

std::optional<Word> Fields::checked_block(const Node& node, std::string_view key) {
  if (node.text.size() > max_block_bytes) {
    error(node.where, fmt::format("the text in \"{}\" has {} bytes, above the limit of {}", key,
                                  node.text.size(), max_block_bytes));
    return std::nullopt;
  }
  const auto fits = [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\r'; };
  if (!std::ranges::all_of(node.text, fits)) {
    error(node.where,
          fmt::format("\"{}\" holds a byte that is not printable ASCII: remove it", key));
    return std::nullopt;
  }
  return Word{.text = node.text, .where = node.where};
}

std::optional<Word> Fields::block(std::string_view key) {
  const Node* node = value(key, Node::Kind::text);
  return node == nullptr ? std::nullopt : checked_block(*node, key);
}

std::vector<Word> Fields::blocks(std::string_view key) {
  const Entry* found = entry(key);
  std::vector<Word> texts;
  if (found == nullptr)
    return texts;
  const bool list = found->value.kind == Node::Kind::list;
  const std::span<const Node> nodes =
      list ? std::span(found->value.items) : std::span(&found->value, 1);
  for (const Node& node : nodes) {
    if (node.kind != Node::Kind::text)
      error(found->where,
            fmt::format("\"{}\" in {} holds {}: write a string or an array of strings", key, what_,
                        to_string(node.kind)));
    else if (auto text = checked_block(node, key))
      texts.push_back(std::move(*text));
  }
  if (list && nodes.empty())
    error(found->where,
          fmt::format("\"{}\" in {} is empty: list something, or delete it", key, what_));
  return texts;
}

std::vector<Fields::Digest> Fields::digests(std::string_view key) {
  std::vector<Digest> all;
  const auto list = texts(key);
  if (!list)
    return all;
  if (const Node& node = entry(key)->value; node.kind == Node::Kind::list && node.items.empty())
    error(entry(key)->where, fmt::format("\"{}\" is empty: write at least one digest", key));
  for (const Word& text : *list) {
    const auto digest =
        measure::sha256_from_hex(text.text, fmt::format("\"{}\" in {}", key, what_));
    if (!digest)
      error(text.where, digest.error().message());
    else if (std::ranges::find(all, *digest, &Digest::sha256) != all.end())
      error(text.where, fmt::format("this digest is twice in \"{}\": delete one", key));
    else
      all.push_back({*digest, text.where});
  }
  return all;
}

const Node* Fields::table(std::string_view key) {
  return value(key, Node::Kind::table);
}

void Fields::report_unknown() {
  std::ranges::sort(known_);
  const auto repeated = std::ranges::unique(known_);
  known_.erase(repeated.begin(), repeated.end());
  for (const Entry& entry : table_.entries)
    if (!std::ranges::binary_search(known_, entry.key))
      error(entry.where, fmt::format("unknown key \"{}\" in {}: known are: {}",
                                     printable(entry.key, 80), what_, fmt::join(known_, ", ")));
}

} // namespace ashlar::policy
