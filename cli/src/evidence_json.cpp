// SPDX-License-Identifier: LGPL-2.1-or-later
#include "evidence_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/limits.hpp"

namespace ashlar::cli {

namespace {

using evidence::EventLog;
using evidence::Side;
using measure::Bank;
using measure::Event;
using measure::EventType;
using Json = nlohmann::json;

constexpr std::array event_types = {
    EventType::builder,      EventType::policy, EventType::configuration, EventType::kernel,
    EventType::command_line, EventType::initrd, EventType::no_initrd};
constexpr std::array log_types = {measure::LogType::no_action, measure::LogType::compact_hash,
                                  measure::LogType::initial_load};

std::unexpected<Error> bad(const std::string& file, const std::string& why) {
  return failure(ErrorCode::invalid, "reading " + file, why);
}

std::string text_at(const Json& object, const char* key) {
  const auto member = object.find(key);
  return member != object.end() && member->is_string() ? member->get<std::string>() : std::string();
}

std::optional<std::uint64_t> number_at(const Json& object, const char* key) {
  const auto member = object.find(key);
  if (member == object.end() || !member->is_number_unsigned())
    return std::nullopt;
  return member->get<std::uint64_t>();
}

bool set_digest(measure::Digests& digests, Bank bank, const std::string& hex) {
  const auto bytes = from_hex(hex);
  if (!bytes || bytes->size() != digests.of(bank).size())
    return false;
  std::ranges::copy(*bytes, digests.of(bank).begin());
  return true;
}

std::optional<Event> event_from(const Json& object) {
  if (!object.is_object())
    return std::nullopt;
  const auto type = std::ranges::find_if(
      event_types, [&](EventType known) { return text_at(object, "type") == to_string(known); });
  const auto size = number_at(object, "size");
  if (type == event_types.end() || !size)
    return std::nullopt;
  Event event{.type = *type,
              .label = text_at(object, "label"),
              .content = text_at(object, "content"),
              .size = *size,
              .digests = {}};
  for (const Bank bank : measure::all_banks)
    if (!set_digest(event.digests, bank, text_at(object, to_string(bank))))
      return std::nullopt;
  return event;
}

Result<Side> of_events(const Json& object, const std::string& file) {
  Side side;
  side.kind = object.contains("serial") ? "record" : "prediction";
  if (const std::string profile = text_at(object, "profile"); !profile.empty())
    side.profile = TRY(measure::profile_from_text(profile));
  side.events.emplace();
  for (const Json& one : object["events"]) {
    const auto event = event_from(one);
    if (!event || side.events->size() == measure::max_record_events)
      return bad(file, fmt::format("event {} is none that this program knows, or one too many",
                                   side.events->size() + 1));
    side.events->push_back(*event);
  }
  if (const auto serial = number_at(object, "serial"))
    side.whose = fmt::format("record {}", *serial);
  return side;
}

Result<Side> of_pcrs(const Json& pcrs, const std::string& file) {
  std::string lines; // as the other forms: one reader checks them all
  for (const auto& [bank, values] : pcrs.items())
    for (const auto& [pcr, value] : values.items())
      lines += fmt::format("{}:{} {}\n", printable(bank), printable(pcr),
                           value.is_string() ? printable(value.get<std::string>()) : "none");
  Side side;
  side.kind = "PCR values";
  side.pcrs = TRY(evidence::read_pcr_set(lines, "\"pcrs\" of " + file));
  return side;
}

std::optional<measure::LogType> log_type_from(const Json& content) {
  if (const auto number = number_at(content, "event_type"); number && *number <= UINT32_MAX)
    return static_cast<measure::LogType>(*number);
  for (const measure::LogType type : log_types)
    if (text_at(content, "event_type") == to_string(type))
      return type;
  return std::nullopt;
}

// The banks of one entry, with their digests in `into`.
std::optional<std::vector<Bank>> digests_from(const Json& list, measure::Digests& into) {
  std::vector<Bank> banks;
  for (const Json& one : list) {
    if (!one.is_object())
      return std::nullopt;
    for (const Bank bank : measure::all_banks) {
      if (text_at(one, "hashAlg") != to_string(bank))
        continue;
      if (!set_digest(into, bank, text_at(one, "digest")))
        return std::nullopt;
      banks.push_back(bank);
    }
  }
  return banks;
}

bool add_entry(EventLog& log, const Json& entry) {
  if (!entry.is_object() || !entry.contains("digests") || !entry.contains("content") ||
      !entry["content"].is_object())
    return false;
  measure::Extension extension;
  const auto pcr = number_at(entry, "pcr");
  const auto type = log_type_from(entry["content"]);
  const auto data = from_hex(text_at(entry["content"], "event_data"));
  const auto banks = digests_from(entry["digests"], extension.digests);
  if (!pcr || *pcr > evidence::max_pcr || !type || !data || !banks)
    return false;
  extension.pcr = static_cast<std::uint32_t>(*pcr);
  extension.log_type = *type;
  for (const std::byte byte : *data)
    extension.log_text.push_back(std::to_integer<char>(byte));
  if (log.extensions.empty())
    log.banks = *banks;
  std::erase_if(log.banks,
                [&](Bank bank) { return std::ranges::find(*banks, bank) == banks->end(); });
  log.extensions.push_back(std::move(extension));
  return true;
}

Result<Side> of_canonical_log(const Json& entries, const std::string& file) {
  Side side;
  side.kind = "canonical event log";
  side.log.emplace();
  for (const Json& entry : entries)
    if (side.log->extensions.size() == evidence::max_log_events || !add_entry(*side.log, entry))
      return bad(file, fmt::format("entry {} is not one of content type pcclient_std with PCR, "
                                   "digests and event data, or one too many",
                                   side.log->extensions.size() + 1));
  return side;
}

} // namespace

Result<Side> side_of_json(std::string_view text, const std::string& file) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded())
    return bad(file, fmt::format("{} (it begins like JSON, but is none)", no_evidence));
  if (json.is_array())
    return of_canonical_log(json, file);
  if (json.contains("events") && json["events"].is_array())
    return of_events(json, file);
  if (json.contains("pcrs") && json["pcrs"].is_object())
    return of_pcrs(json["pcrs"], file);
  return bad(file, "it has neither \"events\" nor \"pcrs\": give what ashlar measure --json or "
                   "ashlar measurement --json print");
}

} // namespace ashlar::cli
