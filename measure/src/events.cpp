// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/record.hpp"

namespace ashlar::measure {

namespace {

/// An event whose measured bytes are kept in the record.
Result<Event> content_event(EventType type, std::string content) {
  Event event{.type = type, .label = {}, .content = std::move(content), .size = 0, .digests = {}};
  event.size = event.content.size();
  event.digests = TRY(digest(as_bytes(event.content)));
  return event;
}

Event file_event(EventType type, const MeasuredImage& image) {
  return {.type = type,
          .label = image.label,
          .content = {},
          .size = image.size,
          .digests = image.digests};
}

} // namespace

const char* to_string(EventType type) {
  switch (type) {
  case EventType::builder:
    return "builder";
  case EventType::policy:
    return "policy";
  case EventType::configuration:
    return "configuration";
  case EventType::kernel:
    return "kernel";
  case EventType::command_line:
    return "command_line";
  case EventType::initrd:
    return "initrd";
  case EventType::no_initrd:
    return "no_initrd";
  }
  return "unknown";
}

bool keeps_content(EventType type) {
  switch (type) {
  case EventType::builder:
  case EventType::policy:
  case EventType::configuration:
  case EventType::command_line:
  case EventType::no_initrd:
    return true;
  case EventType::kernel:
  case EventType::initrd:
    return false;
  }
  return false;
}

Result<std::vector<Event>> make_events(const Ingredients& ingredients) {
  TRY(validate(ingredients.configuration));
  // A policy event that is not a digest would be an empty measurement that looks like one.
  TRY(sha256_from_hex(ingredients.policy_digest, "the policy digest of a measurement record"));
  std::vector<Event> events;
  events.push_back(TRY(content_event(EventType::builder, ingredients.builder_identity)));
  events.push_back(TRY(content_event(EventType::policy, ingredients.policy_digest)));
  events.push_back(
      TRY(content_event(EventType::configuration, canonical_text(ingredients.configuration))));
  events.push_back(file_event(EventType::kernel, ingredients.kernel));
  events.push_back(TRY(content_event(EventType::command_line, ingredients.command_line)));
  for (const MeasuredImage& initrd : ingredients.initrds)
    events.push_back(file_event(EventType::initrd, initrd));
  if (ingredients.initrds.empty())
    events.push_back(TRY(content_event(EventType::no_initrd, {})));
  if (events.size() > max_record_events)
    return failure(ErrorCode::limit, "listing a domain's measured items",
                   fmt::format("{} items, above the limit of {}: give fewer initrds", events.size(),
                               max_record_events));
  return events;
}

} // namespace ashlar::measure
