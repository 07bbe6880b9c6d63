// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/measure/record.hpp"

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"

namespace ashlar::measure {

namespace {

constexpr std::uint32_t record_magic = 0x52485341; // "ASHR" as little-endian bytes
constexpr std::uint32_t record_version = 1;
constexpr std::uint8_t first_event_type = static_cast<std::uint8_t>(EventType::builder);
constexpr std::uint8_t last_event_type = static_cast<std::uint8_t>(EventType::no_initrd);

/// Why an event breaks the rules that both directions check; empty when it keeps them.
std::string fault(const Event& event) {
  if (event.label.size() > max_label_bytes)
    return fmt::format("its label has {} bytes, above the limit of {}", event.label.size(),
                       max_label_bytes);
  if (event.content.size() > max_content_bytes)
    return fmt::format("its content has {} bytes, above the limit of {}", event.content.size(),
                       max_content_bytes);
  if (!keeps_content(event.type) && !event.content.empty())
    return "a file's bytes are not kept in a record, but it has content";
  if (keeps_content(event.type) && event.content.size() != event.size)
    return fmt::format("its size is {}, but its content has {} bytes", event.size,
                       event.content.size());
  return {};
}

void write_event(WireWriter& writer, const Event& event) {
  writer.u8(static_cast<std::uint8_t>(event.type));
  writer.text(event.label);
  writer.text(event.content);
  writer.u64(event.size);
  for (const Bank bank : all_banks)
    writer.raw(event.digests.of(bank));
}

Event read_event(WireReader& reader, std::uint32_t position) {
  Event event;
  const std::uint8_t type = reader.u8();
  if (reader.good() && (type < first_event_type || type > last_event_type))
    reader.reject(fmt::format("event {} has the unknown type {}", position, type));
  if (reader.good())
    event.type = static_cast<EventType>(type);
  event.label = reader.text(max_label_bytes);
  event.content = reader.text(max_content_bytes);
  event.size = reader.u64();
  reader.raw(event.digests.sha1);
  reader.raw(event.digests.sha256);
  reader.raw(event.digests.sha384);
  if (const std::string why = fault(event); reader.good() && !why.empty())
    reader.reject(
        fmt::format("event {} ({}) is inconsistent: {}", position, to_string(event.type), why));
  return event;
}

void read_header(WireReader& reader) {
  if (reader.u32() != record_magic)
    reader.reject("it does not begin with \"ASHR\"");
  const std::uint32_t version = reader.u32();
  if (reader.good() && version != record_version)
    reader.reject(fmt::format("it has version {}, and this program reads version {}", version,
                              record_version));
}

Status check_for_encoding(const Record& record) {
  const std::string doing = fmt::format("encoding measurement record {}", record.serial);
  if (record.requester.size() > max_requester_bytes)
    return failure(ErrorCode::limit, doing,
                   fmt::format("the requester's name has {} bytes, above the limit of {}",
                               record.requester.size(), max_requester_bytes));
  if (record.events.size() > max_record_events)
    return failure(ErrorCode::limit, doing,
                   fmt::format("{} events, above the limit of {}: give fewer initrds",
                               record.events.size(), max_record_events));
  for (std::size_t i = 0; i < record.events.size(); ++i)
    if (const std::string why = fault(record.events[i]); !why.empty())
      return failure(ErrorCode::limit, doing,
                     fmt::format("event {} ({}): {}", i, to_string(record.events[i].type), why));
  return {};
}

} // namespace

Result<std::vector<std::byte>> encode(const Record& record) {
  TRY(check_for_encoding(record));
  WireWriter writer;
  writer.u32(record_magic);
  writer.u32(record_version);
  writer.u64(record.serial);
  writer.u32(record.domid);
  writer.raw(record.uuid);
  writer.text(record.requester);
  writer.u32(static_cast<std::uint32_t>(record.events.size()));
  for (const Event& event : record.events)
    write_event(writer, event);
  if (writer.bytes().size() > max_record_bytes)
    return failure(ErrorCode::limit, fmt::format("encoding measurement record {}", record.serial),
                   fmt::format("it has {} bytes, above the limit of {}: give fewer initrds or "
                               "shorter labels",
                               writer.bytes().size(), max_record_bytes));
  return writer.take();
}

Result<Record> decode(std::span<const std::byte> bytes) {
  const std::string what = "a measurement record";
  if (bytes.size() > max_record_bytes)
    return failure(
        ErrorCode::limit, "reading " + what,
        fmt::format("it has {} bytes, above the limit of {}", bytes.size(), max_record_bytes));
  WireReader reader(bytes);
  Record record;
  read_header(reader);
  record.serial = reader.u64();
  record.domid = reader.u32();
  reader.raw(record.uuid);
  record.requester = reader.text(max_requester_bytes);
  const std::uint32_t count = reader.u32();
  if (count > max_record_events)
    reader.reject(fmt::format("{} events, above the limit of {}", count, max_record_events));
  for (std::uint32_t i = 0; reader.good() && i < count; ++i)
    record.events.push_back(read_event(reader, i));
  TRY(reader.end(what));
  return record;
}

} // namespace ashlar::measure
