// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/prediction.hpp"

#include <fcntl.h>

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/evidence/reference.hpp"
#include "ashlar/measure/event_log.hpp"
#include "ashlar/request/configuration.hpp"

namespace ashlar::cli {

namespace {

using measure::Event;
using measure::EventType;

constexpr std::array all_event_types = {
    EventType::builder,      EventType::policy, EventType::configuration, EventType::kernel,
    EventType::command_line, EventType::initrd, EventType::no_initrd};

// With the label that the builder gets, which may be a cut path.
measure::MeasuredImage measured(const ImageFile& image) {
  return {.label = reference_to(image).label, .size = image.size, .digests = image.digests};
}

std::unexpected<Error> unreadable(const ashlar_v1_RecordEvent& event, const char* why) {
  return failure(ErrorCode::invalid,
                 std::string("reading the record's event \"") + event.type + "\"",
                 std::string(why) + "; is the builder newer than this program?");
}

template <std::size_t size, typename Field>
Status copy_digest(std::array<std::byte, size>& into, const Field& field,
                   const ashlar_v1_RecordEvent& event) {
  if (field.size != size)
    return unreadable(event, "a digest has another length than its bank's");
  std::ranges::copy(ipc::bytes_of(field), into.begin());
  return {};
}

Result<Event> event_of(const ashlar_v1_RecordEvent& from) {
  const auto type = std::ranges::find_if(all_event_types, [&](EventType known) {
    return std::string_view(measure::to_string(known)) == from.type;
  });
  if (type == all_event_types.end())
    return unreadable(from, "its type is unknown");
  Event event;
  event.type = *type;
  event.label = from.label;
  event.size = from.size;
  for (const std::byte byte : ipc::bytes_of(from.content))
    event.content.push_back(std::to_integer<char>(byte));
  TRY(copy_digest(event.digests.sha1, from.digests.sha1, from));
  TRY(copy_digest(event.digests.sha256, from.digests.sha256, from));
  TRY(copy_digest(event.digests.sha384, from.digests.sha384, from));
  return event;
}

Status write_file(const std::string& path, std::span<const std::byte> bytes) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file)
    return errno_failure("opening " + path + " for writing");
  return write_all(file.value(), bytes, path);
}

} // namespace

Result<std::vector<Event>> predicted_events(const ashlar_v1_Create& create,
                                            const std::vector<ImageFile>& images,
                                            const BuilderFacts& builder) {
  measure::Ingredients ingredients;
  // The builder's own function makes the events; those nobody can know here are taken out again.
  ingredients.builder_identity = builder.identity.value_or("");
  ingredients.policy_digest = builder.policy_digest.value_or(std::string(64, '0'));
  ingredients.configuration = TRY(request::configuration_of(create));
  ingredients.command_line = create.command_line;
  ingredients.kernel = measured(images.front());
  for (const ImageFile& initrd : std::span(images).subspan(1))
    ingredients.initrds.push_back(measured(initrd));
  std::vector<Event> events = TRY(measure::make_events(ingredients));
  std::erase_if(events, [&](const Event& event) {
    return (event.type == EventType::builder && !builder.identity) ||
           (event.type == EventType::policy && !builder.policy_digest);
  });
  return events;
}

Result<std::vector<Event>> events_of(const RecordParts& record) {
  std::vector<Event> events;
  for (const ashlar_v1_RecordEvent& event : record.events)
    events.push_back(TRY(event_of(event)));
  return events;
}

Result<Prediction> predict(measure::Profile profile, std::vector<Event> events) {
  Prediction prediction;
  prediction.profile = profile;
  prediction.extensions = TRY(measure::extensions_of(profile, events));
  prediction.pcrs = TRY(measure::replay(prediction.extensions));
  prediction.events = std::move(events);
  return prediction;
}

Status write_logs(const Prediction& prediction, const std::string& tcg_file,
                  const std::string& cel_file) {
  if (!tcg_file.empty())
    TRY(write_file(tcg_file, measure::event_log(prediction.profile, prediction.extensions)));
  if (!cel_file.empty())
    TRY(write_file(cel_file, as_bytes(json_text(cel_json(prediction)) + "\n")));
  return {};
}

Status write_manifest(const Prediction& prediction, const std::optional<std::string>& uuid,
                      const std::string& file) {
  std::optional<measure::Uuid> pinned;
  if (uuid)
    pinned = TRY(measure::uuid_from_text(*uuid));
  const evidence::Reference reference =
      TRY(evidence::make_reference(prediction.profile, pinned, prediction.events));
  return write_file(file, as_bytes(evidence::encode(reference)));
}

} // namespace ashlar::cli
