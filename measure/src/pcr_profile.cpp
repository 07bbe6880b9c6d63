// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/measure/pcr_profile.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"

namespace ashlar::measure {

namespace {

/// How an event becomes the event data of its log entry.
enum class Form {
  content,             // the measured bytes alone, so that readers can recompute the digest
  grub_command,        // "grub_cmd: " + measured bytes + NUL; readers hash what is in between
  kernel_command_line, // the same behind "kernel_cmdline: "
  description,         // "TYPE: LABEL OR CONTENT" + NUL; says what it is, and is not covered
};

struct Rule {
  EventType event;
  std::uint32_t pcr;
  LogType log_type;
  Form form;
};

using enum LogType;

constexpr std::array uapi_rules = {
    Rule{EventType::configuration, 12, initial_load, Form::content},
    Rule{EventType::kernel, 11, compact_hash, Form::description},
    Rule{EventType::command_line, 12, initial_load, Form::content},
    Rule{EventType::initrd, 9, initial_load, Form::description},
    Rule{EventType::no_initrd, 9, initial_load, Form::description},
};

// Readers of GRUB's logs want EV_IPL in PCRs 8 and 9, and in PCR 8 only prefixes of GRUB's own.
constexpr std::array grub_rules = {
    Rule{EventType::configuration, 8, initial_load, Form::grub_command},
    Rule{EventType::kernel, 9, initial_load, Form::description},
    Rule{EventType::command_line, 8, initial_load, Form::kernel_command_line},
    Rule{EventType::initrd, 9, initial_load, Form::description},
    Rule{EventType::no_initrd, 9, initial_load, Form::description},
};

// pv-grub extends PCR 5 with the hash of nothing where there is no initrd, so no_initrd fits.
constexpr std::array pv_grub_rules = {
    Rule{EventType::kernel, 4, compact_hash, Form::description},
    Rule{EventType::command_line, 5, compact_hash, Form::description},
    Rule{EventType::initrd, 5, compact_hash, Form::description},
    Rule{EventType::no_initrd, 5, compact_hash, Form::description},
};

constexpr std::array sha1_alone = {Bank::sha1};

std::span<const Rule> rules_of(Profile profile) {
  switch (profile) {
  case Profile::uapi:
    return uapi_rules;
  case Profile::grub:
    return grub_rules;
  case Profile::pv_grub:
    return pv_grub_rules;
  }
  return {};
}

std::string description_of(const Event& event) {
  const std::string& what = keeps_content(event.type) ? event.content : event.label;
  return to_string(event.type) + (what.empty() ? std::string() : ": " + what);
}

std::string log_text(Form form, const Event& event) {
  const std::string nul(1, '\0');
  switch (form) {
  case Form::content:
    return event.content;
  case Form::grub_command:
    return "grub_cmd: " + event.content + nul;
  case Form::kernel_command_line:
    return "kernel_cmdline: " + event.content + nul;
  case Form::description:
    return description_of(event) + nul;
  }
  return {};
}

bool has(std::span<const Event> events, EventType type) {
  return std::ranges::find(events, type, &Event::type) != events.end();
}

Status require_all(Profile profile, std::span<const Event> events) {
  for (const Rule& rule : rules_of(profile)) {
    const bool about_initrd = rule.event == EventType::initrd || rule.event == EventType::no_initrd;
    if (has(events, rule.event) ||
        (about_initrd && (has(events, EventType::initrd) || has(events, EventType::no_initrd))))
      continue;
    return failure(ErrorCode::invalid,
                   fmt::format("computing the PCRs of the {} profile", to_string(profile)),
                   fmt::format("there is no {} event for PCR {}: give the events of a whole record",
                               to_string(rule.event), rule.pcr));
  }
  return {};
}

Status require_own_digests(const Event& event) {
  if (!keeps_content(event.type) || TRY(digest(as_bytes(event.content))) == event.digests)
    return {};
  return failure(
      ErrorCode::integrity,
      fmt::format("checking the {} event of a measurement record", to_string(event.type)),
      "its digests are not those of its content: ask for the record again, and distrust "
      "where this one came from");
}

template <std::size_t size>
std::array<std::byte, 2 * size> joined(const std::array<std::byte, size>& first,
                                       const std::array<std::byte, size>& second) {
  std::array<std::byte, 2 * size> both{};
  std::ranges::copy(second, std::ranges::copy(first, both.begin()).out);
  return both;
}

} // namespace

const char* to_string(Profile profile) {
  switch (profile) {
  case Profile::uapi:
    return "uapi";
  case Profile::grub:
    return "grub";
  case Profile::pv_grub:
    return "pv-grub";
  }
  return "unknown";
}

Result<Profile> profile_from_text(std::string_view text) {
  for (const Profile profile : all_profiles)
    if (text == to_string(profile))
      return profile;
  return failure(ErrorCode::invalid, "reading the PCR profile \"" + printable(text, 40) + "\"",
                 "there are uapi, grub and pv-grub");
}

const char* to_string(LogType type) {
  switch (type) {
  case LogType::no_action:
    return "EV_NO_ACTION";
  case LogType::compact_hash:
    return "EV_COMPACT_HASH";
  case LogType::initial_load:
    return "EV_IPL";
  }
  return "unknown";
}

std::span<const Bank> banks_of(Profile profile) {
  return profile == Profile::pv_grub ? std::span<const Bank>(sha1_alone)
                                     : std::span<const Bank>(all_banks);
}

Result<std::vector<Extension>> extensions_of(Profile profile, std::span<const Event> events) {
  TRY(require_all(profile, events));
  const std::span<const Rule> rules = rules_of(profile);
  std::vector<Extension> extensions;
  for (const Event& event : events) {
    TRY(require_own_digests(event));
    const auto rule = std::ranges::find(rules, event.type, &Rule::event);
    if (rule != rules.end())
      extensions.push_back({.pcr = rule->pcr,
                            .log_type = rule->log_type,
                            .log_text = log_text(rule->form, event),
                            .digests = event.digests});
  }
  return extensions;
}

Result<PcrValues> replay(std::span<const Extension> extensions) {
  PcrValues values;
  for (const Extension& extension : extensions) {
    Digests& value = values[extension.pcr]; // zeros at first
    const Digests& by = extension.digests;
    value.sha1 = TRY(digest(joined(value.sha1, by.sha1))).sha1;
    value.sha256 = TRY(digest(joined(value.sha256, by.sha256))).sha256;
    value.sha384 = TRY(digest(joined(value.sha384, by.sha384))).sha384;
  }
  return values;
}

} // namespace ashlar::measure
