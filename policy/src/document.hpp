// SPDX-License-Identifier: LGPL-2.1-or-later
// A parsed TOML file as a plain tree with the place of every key and value. Only document.cpp knows
// which TOML library is used.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "ashlar/policy/policy.hpp"

namespace ashlar::policy {

struct Entry;

/// One TOML value. Only the member that belongs to `kind` is set.
struct Node {
  enum class Kind { text, integer, boolean, list, table, other }; // other: a float, a date, a time
  Kind kind = Kind::other;
  Location where;
  std::string text;
  std::int64_t integer = 0;
  bool boolean = false;
  std::vector<Node> items;    // list
  std::vector<Entry> entries; // table, in the order in which the keys are written
};

/// One key of a table and its value.
struct Entry {
  std::string key;
  Location where; // of the key
  Node value;
};

/// "a string", "an array": for messages.
[[nodiscard]] const char* to_string(Node::Kind kind);

/// Parses one file into its top-level table. A file that is not TOML gives the one finding that
/// says where (duplicate keys and bytes that are not UTF-8 are among these).
[[nodiscard]] std::expected<Node, Finding> parse_document(const PolicyFile& file);

} // namespace ashlar::policy
