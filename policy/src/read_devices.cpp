// SPDX-License-Identifier: LGPL-2.1-or-later
#include "read_devices.hpp"

#include <array>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "read.hpp"

namespace ashlar::policy {

namespace {

constexpr std::array<std::string_view, 2> access_words = {"read-only", "read-write"};
constexpr std::string_view disk_example =
    R"({ backends = ["storage"], targets = ["/dev/vg0/web-*"] })";
constexpr std::string_view nic_example = R"({ backends = ["net"], bridges = ["xenbr0"] })";

Choice any_word(const Location& where) {
  return {.any = true, .words = {}, .where = where};
}

/// One key of an entry: in an allow rule it must be there, in a deny rule it does not restrict when
/// it is not.
Choice read_choice(Fields& entry, std::string_view key, bool allow) {
  const Entry* written = entry.entry(key);
  if (written == nullptr) {
    if (allow)
      entry.missing(key, "an allow rule must say it; write a list, or \"any\" to allow all");
    return any_word(entry.where());
  }
  if (written->value.kind == Node::Kind::list && written->value.items.empty())
    entry.error(written->where, fmt::format("\"{}\" in {} is an empty array, so that the entry "
                                            "takes nothing: list something, or delete the entry",
                                            key, entry.what()));
  return entry.choice(key).value_or(Choice{});
}

/// Names are compared as they are: one that no domain can have would silently never match.
Choice read_backends(Fields& entry, bool allow) {
  Choice backends = read_choice(entry, "backends", allow);
  for (const Word& word : backends.words)
    if (!name_is_possible(word.text))
      entry.error(word.where,
                  fmt::format("\"{}\" in \"backends\" of {} cannot be a domain's name: write whole "
                              "names (no globs), 1 to {} of A-Z a-z 0-9 . _ + -",
                              printable(word.text, 80), entry.what(), max_declared_name_bytes));
  return backends;
}

DiskPattern::Access read_access(Fields& entry, bool allow) {
  using enum DiskPattern::Access;
  const auto word = entry.word("access", access_words);
  if (allow)
    return word && word->text == "read-write" ? any : read_only;
  if (word && word->text == "read-only")
    entry.error(word->where,
                "access = \"read-only\" in a deny rule would let through the disks that are "
                "written: delete \"access\" to deny both kinds, or write \"read-write\" to deny "
                "those that are written");
  return word ? writable : any;
}

DiskPattern read_disk(Fields entry, bool allow) {
  DiskPattern disk{.where = entry.where(),
                   .backends = read_backends(entry, allow),
                   .targets = read_choice(entry, "targets", allow),
                   .access = read_access(entry, allow)};
  entry.report_unknown();
  return disk;
}

void read_macs(Fields& entry, bool allow, NicPattern& nic) {
  if (allow) {
    // Left out or empty: no address of the request's own.
    nic.macs = entry.choice("macs").value_or(Choice{});
    return;
  }
  nic.macs = read_choice(entry, "macs", allow);
  // A list is about addresses that requests choose.
  nic.automatic = nic.macs.any;
}

NicPattern read_nic(Fields entry, bool allow) {
  NicPattern nic{.where = entry.where(),
                 .backends = read_backends(entry, allow),
                 .bridges = read_choice(entry, "bridges", allow),
                 .macs = {},
                 .automatic = true};
  read_macs(entry, allow, nic);
  entry.report_unknown();
  return nic;
}

void refuse_item(Fields& fields, std::string_view key, const Node& item, std::string_view example) {
  if (item.kind == Node::Kind::text && item.text == "any")
    fields.error(item.where, fmt::format("\"any\" in brackets in \"{}\": write {} = \"any\" to "
                                         "leave it open, or list tables",
                                         key, key));
  else
    fields.error(item.where, fmt::format("the array \"{}\" holds {}: write tables such as {}", key,
                                         to_string(item.kind), example));
}

/// The tables of the array `key`; nothing else is handed on.
std::vector<const Node*> entries(Fields& fields, std::string_view key, std::string_view example) {
  std::vector<const Node*> tables;
  const Entry* found = fields.entry(key);
  if (found->value.kind != Node::Kind::list) {
    fields.error(found->where,
                 fmt::format("\"{}\" in {} is {}: write [ {} ], or \"any\" without brackets", key,
                             fields.what(),
                             found->value.kind == Node::Kind::text
                                 ? fmt::format("\"{}\"", printable(found->value.text, 80))
                                 : to_string(found->value.kind),
                             example));
    return tables;
  }
  for (const Node& item : found->value.items)
    if (item.kind == Node::Kind::table)
      tables.push_back(&item);
    else
      refuse_item(fields, key, item, example);
  if (tables.size() > max_device_entries) {
    fields.error(found->where, fmt::format("\"{}\" in {} has {} entries, above the limit of {}: "
                                           "join some, or write a second rule",
                                           key, fields.what(), tables.size(), max_device_entries));
    tables.clear();
  }
  return tables;
}

/// `all` is what the word "any" stands for.
template <typename Pattern, typename Read>
std::vector<Pattern> read_list(Fields& fields, std::string_view key, std::string_view example,
                               Pattern all, Read read) {
  const Entry* found = fields.entry(key);
  if (found == nullptr)
    return {};
  if (found->value.kind == Node::Kind::text && found->value.text == "any") {
    all.where = found->where;
    return {std::move(all)};
  }
  std::vector<Pattern> patterns;
  for (const Node* table : entries(fields, key, example))
    patterns.push_back(read(*table, fmt::format("an entry of \"{}\"", key)));
  return patterns;
}

} // namespace

std::vector<DiskPattern> read_disks(Fields& fields, bool allow, Findings& findings) {
  const DiskPattern all{.where = {},
                        .backends = any_word({}),
                        .targets = any_word({}),
                        .access = DiskPattern::Access::any};
  return read_list(fields, "disks", disk_example, all, [&](const Node& table, std::string what) {
    return read_disk(Fields(table, std::move(what), findings), allow);
  });
}

std::vector<NicPattern> read_nics(Fields& fields, bool allow, Findings& findings) {
  const NicPattern all{.where = {},
                       .backends = any_word({}),
                       .bridges = any_word({}),
                       .macs = any_word({}),
                       .automatic = true};
  return read_list(fields, "nics", nic_example, all, [&](const Node& table, std::string what) {
    return read_nic(Fields(table, std::move(what), findings), allow);
  });
}

} // namespace ashlar::policy
