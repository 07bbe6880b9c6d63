// SPDX-License-Identifier: LGPL-2.1-or-later
// The measurement record of one domain: which bytes it was built from, by whom, under which policy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/digest.hpp"
#include "ashlar/measure/domain_configuration.hpp"

namespace ashlar::measure {

using Uuid = std::array<std::byte, 16>; // in the order in which it is printed (big-endian fields)

/// "6a0e…" in the 8-4-4-4-12 form, lower case.
[[nodiscard]] std::string to_string(const Uuid& uuid);
/// Reads the 8-4-4-4-12 form, either case. Errors: invalid.
[[nodiscard]] Result<Uuid> uuid_from_text(std::string_view text);

/// What one event's digests cover. docs/measurements.md says it for each in full.
enum class EventType : std::uint8_t {
  builder = 1,       // the builder's identity text (content)
  policy = 2,        // the policy digest's 64 hexadecimal digits (content)
  configuration = 3, // canonical_text() of the domain's configuration (content)
  kernel = 4,        // the kernel file as the requester sent it, compressed or not
  command_line = 5,  // the command line's bytes, without a NUL (content)
  initrd = 6,        // one initrd file, in load order
  no_initrd = 7,     // the empty string: says that there was none, so that a missing one shows
};
[[nodiscard]] const char* to_string(EventType type); // "command_line"
/// Are this event's measured bytes kept in the record (Event::content), or only their digests?
[[nodiscard]] bool keeps_content(EventType type);

/// One measured item.
struct Event {
  EventType type = EventType::builder;
  std::string label; // the requester's name for a file; shown to people, not covered by the digests
  std::string content; // the measured bytes where they are text kept in the record; empty for files
  std::uint64_t size = 0; // number of measured bytes
  Digests digests;
  bool operator==(const Event&) const = default;
};

/// One incarnation of one domain. (domid, uuid, serial) never repeats within a boot of the builder.
struct Record {
  std::uint64_t serial = 0; // issued by the builder, rising by one for each record since boot
  std::uint32_t domid = 0;
  Uuid uuid{};
  std::string requester; // the policy's name for who asked
  std::vector<Event> events;
  bool operator==(const Record&) const = default;
};

/// A measured image to be loaded.
struct MeasuredImage {
  std::string label;
  std::uint64_t size = 0;
  Digests digests;
};

/// What make_events turns into events, in this order: builder, policy, configuration, kernel,
/// command line, initrds (or no_initrd).
struct Ingredients {
  std::string builder_identity; // "ashlar-builder VERSION" and whatever its build pins
  std::string policy_digest;    // 64 hexadecimal digits
  DomainConfiguration configuration;
  MeasuredImage kernel;
  std::string command_line;
  std::vector<MeasuredImage> initrds;
};
/// Errors: invalid (a configuration that validate() refuses, a policy digest that is none), limit
/// (too many initrds), internal.
[[nodiscard]] Result<std::vector<Event>> make_events(const Ingredients& ingredients);

/// Limits of a record's encoded form: more is refused by both directions.
inline constexpr std::size_t max_record_events = 32;
inline constexpr std::size_t max_record_bytes = 16384;
inline constexpr std::size_t max_requester_bytes = 63;
inline constexpr std::size_t max_label_bytes = 255;
inline constexpr std::size_t max_content_bytes = 4095; // a configuration with all devices

/// The record as bytes, canonical (one record has one encoding); docs/measurements.md has the
/// layout. Errors: limit (also for an event whose size and content disagree).
[[nodiscard]] Result<std::vector<std::byte>> encode(const Record& record);
/// Reads exactly what encode() writes. Errors: invalid, limit. Safe on hostile input.
[[nodiscard]] Result<Record> decode(std::span<const std::byte> bytes);

} // namespace ashlar::measure
