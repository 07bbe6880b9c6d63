// SPDX-License-Identifier: LGPL-2.1-or-later
#include "document.hpp"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace ashlar::policy {

namespace {

Location location(const std::string& file, const toml::source_region& source) {
  return {.file = file, .line = source.begin.line, .column = source.begin.column};
}

/// An array of tables starts, for its readers, where its first element does.
Node convert(const toml::node& source, const std::string& file) {
  Node node;
  node.where = location(file, source.source());
  if (const auto* text = source.as_string()) {
    node.kind = Node::Kind::text;
    node.text = text->get();
  } else if (const auto* integer = source.as_integer()) {
    node.kind = Node::Kind::integer;
    node.integer = integer->get();
  } else if (const auto* boolean = source.as_boolean()) {
    node.kind = Node::Kind::boolean;
    node.boolean = boolean->get();
  } else if (const auto* array = source.as_array()) {
    node.kind = Node::Kind::list;
    for (const toml::node& item : *array)
      node.items.push_back(convert(item, file));
  } else if (const auto* table = source.as_table()) {
    node.kind = Node::Kind::table;
    for (const auto& [key, value] : *table)
      node.entries.push_back({.key = std::string(key.str()),
                              .where = location(file, key.source()),
                              .value = convert(value, file)});
    // The library keeps keys in alphabetic order; people read findings in the order of the file.
    std::ranges::stable_sort(node.entries, {}, [](const Entry& entry) {
      return std::tuple(entry.where.line, entry.where.column);
    });
  }
  return node;
}

} // namespace

const char* to_string(Node::Kind kind) {
  switch (kind) {
  case Node::Kind::text:
    return "a string";
  case Node::Kind::integer:
    return "an integer";
  case Node::Kind::boolean:
    return "a boolean";
  case Node::Kind::list:
    return "an array";
  case Node::Kind::table:
    return "a table";
  case Node::Kind::other:
    return "a float or a date";
  }
  return "unknown";
}

std::expected<Node, Finding> parse_document(const PolicyFile& file) {
  const toml::parse_result result = toml::parse(file.text);
  if (result.failed()) {
    const toml::parse_error& error = result.error();
    return std::unexpected(Finding{
        .severity = Finding::Severity::error,
        .where = location(file.name, error.source()),
        .message = fmt::format("this is not TOML: {}: correct it; nothing of this file was read",
                               error.description())});
  }
  return convert(result.table(), file.name);
}

} // namespace ashlar::policy
