// SPDX-License-Identifier: LGPL-2.1-or-later
// [[rule]], [rule.guest] and [rule.upload].
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "read.hpp"
#include "read_devices.hpp"

namespace ashlar::policy {

namespace {

constexpr std::array<std::string_view, 2> effect_words = {"allow", "deny"};
constexpr std::array<std::string_view, 2> type_words = {"pv", "pvh"};
constexpr std::array<std::string_view, 3> vtpm_words = {"forbidden", "allowed", "required"};
constexpr std::array<std::string_view, 2> vtpm_version_words = {"1.2", "2.0"};
constexpr std::array<std::string_view, 3> profile_words = {"uapi", "grub", "pv-grub"};
constexpr std::uint64_t max_vcpus_value = 4096;
constexpr std::uint64_t max_initrds_value = 32;

/// Each word must be one of `words`: a misspelt one would silently never match.
void check_words(Fields& fields, const std::optional<Choice>& choice, std::string_view key,
                 std::span<const std::string_view> words) {
  if (!choice)
    return;
  for (const Word& word : choice->words)
    if (std::ranges::find(words, word.text) == words.end())
      fields.error(word.where, fmt::format("\"{}\" in \"{}\" of {} is none of: {}", word.text, key,
                                           fields.what(), fmt::join(words, ", ")));
}

void check_not_empty(Fields& fields, std::string_view key) {
  const Entry* found = fields.entry(key);
  if (found != nullptr && found->value.kind == Node::Kind::list && found->value.items.empty())
    fields.error(found->where, fmt::format("\"{}\" in {} is an empty array, so the rule can never "
                                           "match: list something, or delete the rule",
                                           key, fields.what()));
}

/// A limit says what is permitted; in a deny rule it would deny the small requests and let the
/// large ones go on to the next rule.
void check_no_limit(Fields& fields, std::string_view key) {
  if (const Entry* limit = fields.entry(key); limit != nullptr)
    fields.error(limit->where, fmt::format("\"{}\" in {} of a deny rule: a limit says what is "
                                           "permitted; write it in the allow rule",
                                           key, fields.what()));
}

void check_command_line_keys(Fields& fields, const GuestConditions& guest) {
  if (guest.command_lines && guest.command_line_parameters)
    fields.error(
        guest.command_line_parameters->where,
        "[rule.guest] has both \"command_lines\" and \"command_line_parameters\": keep one, "
        "and write a second rule for the other");
}

/// What a create may load must be written out, so that nobody allows all by forgetting a line.
void check_allow(Fields& fields) {
  constexpr std::string_view advice = "an allow rule for create must say it; write a list, or "
                                      "\"any\" to allow all";
  for (const std::string_view key : {"kernels", "initrds"})
    if (fields.entry(key) == nullptr)
      fields.missing(key, advice);
  if (fields.entry("command_lines") == nullptr &&
      fields.entry("command_line_parameters") == nullptr)
    fields.error(fields.where(),
                 fmt::format("{} has neither \"command_lines\" nor \"command_line_parameters\": {}",
                             fields.what(), advice));
}

void check_deny(Fields& fields) {
  for (const std::string_view key : {"max_vcpus", "max_memory_mib", "max_initrds"})
    check_no_limit(fields, key);
  // In an allow rule these may be empty: no initrd, no parameter, no device.
  for (const std::string_view key : {"initrds", "command_line_parameters", "disks", "nics"})
    check_not_empty(fields, key);
}

/// A TPM 2.0 has banks that pv-grub's convention leaves out: a guest could extend them itself.
void check_profile(Fields& fields, const GuestConditions& guest) {
  const Entry* profile = fields.entry("vtpm_profile");
  if (guest.vtpm_profile != measure::Profile::pv_grub)
    return;
  if (!guest.vtpm_versions || contains(*guest.vtpm_versions, "2.0"))
    fields.error(profile->where, "the profile \"pv-grub\" is for a TPM 1.2 alone: write "
                                 "vtpm_versions = [\"1.2\"], or another profile");
}

void read_vtpm(Fields& fields, GuestConditions& guest, bool allow) {
  if (const auto use = fields.word("vtpm", vtpm_words))
    guest.vtpm =
        static_cast<VtpmUse>(std::ranges::find(vtpm_words, use->text) - vtpm_words.begin());
  guest.vtpm_versions = fields.choice("vtpm_versions");
  check_words(fields, guest.vtpm_versions, "vtpm_versions", vtpm_version_words);
  check_not_empty(fields, "vtpm_versions");
  if (const auto profile = fields.word("vtpm_profile", profile_words))
    guest.vtpm_profile = static_cast<measure::Profile>(
        std::ranges::find(profile_words, profile->text) - profile_words.begin());
  if (!allow) {
    for (const std::string_view key : {"vtpm", "vtpm_versions", "vtpm_profile"})
      check_no_limit(fields, key);
    return;
  }
  check_profile(fields, guest);
  if (guest.vtpm != VtpmUse::forbidden)
    return;
  for (const std::string_view key : {"vtpm_versions", "vtpm_profile"})
    if (const Entry* entry = fields.entry(key); entry != nullptr)
      fields.error(entry->where, fmt::format("\"{}\" in {} means nothing while its vtpm is "
                                             "\"forbidden\": write vtpm = \"allowed\" or "
                                             "\"required\", or delete it",
                                             key, fields.what()));
}

GuestConditions read_guest(Fields fields, bool allow, Findings& findings) {
  GuestConditions guest;
  guest.names = fields.choice("names");
  guest.types = fields.choice("types");
  guest.kernels = fields.choice("kernels");
  guest.initrds = fields.choice("initrds");
  guest.command_lines = fields.choice("command_lines");
  guest.command_line_parameters = fields.choice("command_line_parameters");
  guest.xsm_labels = fields.choice("xsm_labels");
  guest.disks = read_disks(fields, allow, findings);
  guest.nics = read_nics(fields, allow, findings);
  guest.max_vcpus = fields.number("max_vcpus", 1, max_vcpus_value);
  guest.max_memory_mib = fields.number("max_memory_mib", 1, max_mib_value);
  guest.max_initrds = fields.number("max_initrds", 0, max_initrds_value);
  read_vtpm(fields, guest, allow);
  check_words(fields, guest.types, "types", type_words);
  check_not_empty(fields, "names");
  check_not_empty(fields, "types");
  check_not_empty(fields, "kernels");
  check_not_empty(fields, "command_lines");
  check_not_empty(fields, "xsm_labels");
  check_command_line_keys(fields, guest);
  fields.report_unknown();
  if (allow)
    check_allow(fields);
  else
    check_deny(fields);
  return guest;
}

UploadConditions read_upload(Fields fields, bool allow) {
  UploadConditions upload;
  upload.images = fields.choice("images");
  upload.max_mib = fields.number("max_mib", 1, max_mib_value);
  check_not_empty(fields, "images");
  fields.report_unknown();
  if (!allow)
    check_no_limit(fields, "max_mib");
  return upload;
}

void check_rule_head(Fields& fields, const std::optional<Word>& name) {
  if (name && name->text.size() > max_rule_name_bytes)
    fields.error(name->where, fmt::format("the rule's name has {} bytes, above the limit of {}: "
                                          "shorten it",
                                          name->text.size(), max_rule_name_bytes));
  if (fields.entry("name") == nullptr)
    fields.missing("name", "write one; logs, records and denials show it");
  if (fields.entry("effect") == nullptr)
    fields.missing("effect", "write \"allow\" or \"deny\"");
  if (fields.entry("requesters") == nullptr)
    fields.missing("requesters", "list the requesters, or write \"any\"");
  if (fields.entry("verbs") == nullptr)
    fields.missing("verbs", "list the verbs, or write \"any\"");
}

/// A condition table must belong to a verb of the rule, or its conditions would never be looked at.
void check_tables_used(Fields& fields, const Rule& rule) {
  if (rule.guest && !contains(rule.verbs, "create"))
    fields.error(
        fields.entry("guest")->where,
        "[rule.guest] in a rule without the verb create: add the verb, or delete the table");
  if (rule.upload && !contains(rule.verbs, "upload"))
    fields.error(
        fields.entry("upload")->where,
        "[rule.upload] in a rule without the verb upload: add the verb, or delete the table");
}

/// The tables restrict create and upload alone. In a deny rule, "deny destroy and, for these
/// guests, create" would deny every destroy: nobody means that.
void check_deny_verbs(Fields& fields, const Rule& rule) {
  if (rule.allow || (!rule.guest && !rule.upload))
    return;
  for (const Verb verb : all_verbs) {
    const bool restricted =
        (verb == Verb::create && rule.guest) || (verb == Verb::upload && rule.upload);
    if (restricted || !contains(rule.verbs, to_string(verb)))
      continue;
    fields.error(
        rule.verbs.where,
        fmt::format("a deny rule with conditions covers the verb {}, which its tables do not "
                    "restrict: put that verb in a rule of its own",
                    to_string(verb)));
    return;
  }
}

} // namespace

void read_rule(Fields fields, Model& model, Findings& findings) {
  std::array<std::string_view, verb_count> words{};
  std::ranges::transform(all_verbs, words.begin(), [](Verb verb) { return to_string(verb); });
  const auto name = fields.text("name");
  const auto effect = fields.word("effect", effect_words);
  const auto requesters = fields.choice("requesters");
  const auto verbs = fields.choice("verbs");
  const Node* guest = fields.table("guest");
  const Node* upload = fields.table("upload");
  check_words(fields, verbs, "verbs", words);
  check_not_empty(fields, "requesters");
  check_not_empty(fields, "verbs");
  check_rule_head(fields, name);
  fields.report_unknown();
  if (!effect || !verbs)
    return;
  Rule rule{.name = name ? name->text : std::string(),
            .where = fields.where(),
            .allow = effect->text == "allow",
            .requesters = requesters.value_or(Choice{}),
            .verbs = *verbs,
            .guest = {},
            .upload = {}};
  if (guest != nullptr)
    rule.guest = read_guest(Fields(*guest, "[rule.guest]", findings), rule.allow, findings);
  if (upload != nullptr)
    rule.upload = read_upload(Fields(*upload, "[rule.upload]", findings), rule.allow);
  check_tables_used(fields, rule);
  check_deny_verbs(fields, rule);
  if (rule.allow && guest == nullptr && contains(rule.verbs, "create"))
    fields.missing("guest", "an allow rule for create must have a [rule.guest] that says which "
                            "kernels, initrds and command lines it allows");
  model.rules.push_back(std::move(rule));
}

} // namespace ashlar::policy
