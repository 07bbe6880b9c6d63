// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/evidence/reference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/limits.hpp"

namespace ashlar::evidence {

namespace {

using measure::Event;
using measure::EventType;

constexpr std::string_view first_line = "ashlar-reference=1";
constexpr std::array event_types = {
    EventType::builder,      EventType::policy, EventType::configuration, EventType::kernel,
    EventType::command_line, EventType::initrd, EventType::no_initrd};

// Spaces, percent signs and what cannot be printed become %XX: a line stays one line of words.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char character : text) {
    if (character > ' ' && character <= '~' && character != '%')
      result += character;
    else
      result += fmt::format("%{:02x}", static_cast<unsigned char>(character));
  }
  return result;
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      result += text[i];
      continue;
    }
    const auto byte = i + 2 < text.size() ? from_hex(text.substr(i + 1, 2)) : std::nullopt;
    if (!byte)
      return std::nullopt;
    result += std::to_integer<char>(byte->front());
    i += 2;
  }
  return result;
}

std::string event_line(const Event& event) {
  std::string line = fmt::format("event={} size={}", to_string(event.type), event.size);
  for (const measure::Bank bank : measure::all_banks)
    line += fmt::format(" {}={}", to_string(bank), to_hex(event.digests.of(bank)));
  return line + fmt::format(" label={} content={}\n", escaped(event.label), escaped(event.content));
}

// Takes the next word of `line`, which must begin with `key` and "=".
std::optional<std::string_view> take_word(std::string_view& line, std::string_view key) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  if (!word.starts_with(key) || !word.substr(key.size()).starts_with('='))
    return std::nullopt;
  line.remove_prefix(std::min(end + 1, line.size()));
  return word.substr(key.size() + 1);
}

template <std::size_t size>
bool take_digest(std::string_view& line, std::string_view key, std::array<std::byte, size>& into) {
  const auto word = take_word(line, key);
  const auto bytes = word ? from_hex(*word) : std::nullopt;
  if (!bytes || bytes->size() != size)
    return false;
  std::ranges::copy(*bytes, into.begin());
  return true;
}

std::optional<Event> read_event(std::string_view line) {
  Event event;
  const auto type_word = take_word(line, "event");
  const auto type = std::ranges::find_if(
      event_types, [&](EventType known) { return type_word && *type_word == to_string(known); });
  const auto size = take_word(line, "size");
  if (type == event_types.end() || !size)
    return std::nullopt;
  event.type = *type;
  const auto [end, error] = std::from_chars(size->data(), size->data() + size->size(), event.size);
  if (error != std::errc() || end != size->data() + size->size() ||
      !take_digest(line, "sha1", event.digests.sha1) ||
      !take_digest(line, "sha256", event.digests.sha256) ||
      !take_digest(line, "sha384", event.digests.sha384))
    return std::nullopt;
  const auto label = take_word(line, "label");
  const auto content = take_word(line, "content");
  const auto label_text = label ? unescaped(*label) : std::nullopt;
  const auto content_text = content ? unescaped(*content) : std::nullopt;
  if (!label_text || !content_text)
    return std::nullopt;
  event.label = *label_text;
  event.content = *content_text;
  return event;
}

struct Reader {
  std::string_view rest;
  std::string what;
  std::size_t line_number = 0;

  std::unexpected<Error> bad(const std::string& why) const {
    return failure(ErrorCode::invalid,
                   fmt::format("reading line {} of the reference {}", line_number, what), why);
  }
  std::string_view next() {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++line_number;
    return line;
  }
};

Result<Reference> read_lines(Reader& reader) {
  if (reader.next() != first_line)
    return reader.bad("it is not \"ashlar-reference=1\": this is no reference manifest, or one of "
                      "another version");
  std::string_view line = reader.next();
  const auto profile = take_word(line, "profile");
  if (!profile)
    return reader.bad("it is not \"profile=…\"");
  const measure::Profile of_guest = TRY(measure::profile_from_text(*profile));
  std::optional<measure::Uuid> uuid;
  line = reader.next();
  if (auto text = take_word(line, "uuid")) {
    uuid = TRY(measure::uuid_from_text(*text));
    line = reader.next();
  }
  std::vector<Event> events;
  for (; line.starts_with("event="); line = reader.next()) {
    const auto event = read_event(line);
    if (!event || events.size() == measure::max_record_events)
      return reader.bad("the event cannot be read, or is one too many");
    events.push_back(*event);
  }
  Result<Reference> reference = make_reference(of_guest, uuid, std::move(events));
  if (!reference) // it speaks of a record
    return failure(reference.error().code, "reading the reference " + reader.what,
                   reference.error().message());
  return reference;
}

} // namespace

Result<Reference> make_reference(measure::Profile profile, std::optional<measure::Uuid> uuid,
                                 std::vector<Event> events) {
  const auto extensions = TRY(measure::extensions_of(profile, events));
  measure::PcrValues pcrs = TRY(measure::replay(extensions));
  return Reference{profile, uuid, std::move(events), std::move(pcrs)};
}

std::string encode(const Reference& reference) {
  std::string text = fmt::format("{}\nprofile={}\n", first_line, to_string(reference.profile));
  if (reference.uuid)
    text += fmt::format("uuid={}\n", measure::to_string(*reference.uuid));
  for (const Event& event : reference.events)
    text += event_line(event);
  for (const measure::Bank bank : measure::banks_of(reference.profile))
    for (const auto& [pcr, value] : reference.pcrs)
      text += fmt::format("pcr={}:{} {}\n", to_string(bank), pcr, to_hex(value.of(bank)));
  return text;
}

Result<Reference> read_reference(std::string_view text, const std::string& what) {
  if (text.size() > max_reference_bytes)
    return limit_failure("reading the reference " + what,
                         fmt::format("it has {} bytes", text.size()),
                         fmt::format("{} bytes", max_reference_bytes));
  Reader reader{text, what};
  Reference reference = TRY(read_lines(reader));
  // One reference has one text: what is not as it would be written is not read.
  if (encode(reference) != text)
    return failure(ErrorCode::invalid, "reading the reference " + what,
                   "its lines are not as `ashlar measure --manifest` writes them, or its PCRs are "
                   "not those of its events: write it again");
  return reference;
}

} // namespace ashlar::evidence
