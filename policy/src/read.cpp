// SPDX-License-Identifier: LGPL-2.1-or-later
#include "read.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ashlar::policy {

namespace {

bool allowed_in_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '+' || c == '-';
}

} // namespace

void read_tables(Fields& file, std::string_view key, Findings& findings,
                 const std::function<void(const Fields&)>& read) {
  const Entry* found = file.entry(key);
  if (found == nullptr)
    return;
  const std::string what = fmt::format("[[{}]]", key);
  const bool tables = found->value.kind == Node::Kind::list &&
                      std::ranges::all_of(found->value.items, [](const Node& item) {
                        return item.kind == Node::Kind::table;
                      });
  if (!tables) {
    file.error(found->where, fmt::format("\"{}\" is not an array of tables: write {} in double "
                                         "brackets on a line of its own",
                                         key, what));
    return;
  }
  for (const Node& item : found->value.items)
    read(Fields(item, what, findings));
}

bool name_is_possible(std::string_view name) {
  return !name.empty() && name.size() <= max_declared_name_bytes &&
         std::ranges::all_of(name, allowed_in_name);
}

std::optional<Word> read_name(Fields& fields, std::string_view key) {
  auto name = fields.text(key);
  if (!name)
    return std::nullopt;
  if (!name_is_possible(name->text)) {
    fields.error(name->where,
                 fmt::format("\"{}\" cannot be a \"{}\": use 1 to {} of A-Z a-z 0-9 . _ + -",
                             name->text, key, max_declared_name_bytes));
    return std::nullopt;
  }
  if (name->text == "any") {
    fields.error(name->where, fmt::format("\"any\" cannot be a \"{}\": it has a meaning of its own "
                                          "in rules; choose another",
                                          key));
    return std::nullopt;
  }
  return name;
}

void read_document(const Node& document, Model& model, Findings& findings) {
  Fields file(document, "a policy file", findings);
  // Asked for first: a file of a later version may hold keys that this program does not know.
  const Entry* version = file.entry("version");
  if (version != nullptr && (version->value.kind != Node::Kind::integer ||
                             std::cmp_not_equal(version->value.integer, language_version))) {
    file.error(version->where,
               fmt::format("this program reads version {} of the policy language: write "
                           "version = {}, and only what that version has",
                           language_version, language_version));
    return;
  }
  read_tables(file, "image", findings, [&](const Fields& fields) { read_image(fields, model); });
  read_tables(file, "certificate", findings,
              [&](const Fields& fields) { read_certificate(fields, model); });
  read_tables(file, "release", findings,
              [&](const Fields& fields) { read_release(fields, model); });
  read_tables(file, "manifest", findings,
              [&](const Fields& fields) { read_manifest(fields, model); });
  read_tables(file, "revoked", findings,
              [&](const Fields& fields) { read_revoked(fields, model); });
  read_tables(file, "requester", findings,
              [&](const Fields& fields) { read_requester(fields, model); });
  read_tables(file, "rule", findings,
              [&](const Fields& fields) { read_rule(fields, model, findings); });
  file.report_unknown();
}

} // namespace ashlar::policy
