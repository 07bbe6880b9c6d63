// SPDX-License-Identifier: LGPL-2.1-or-later
#include "journal_entry.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"
#include "journal_fields.hpp"

namespace ashlar::broker::journal_entry {

namespace {

enum class Kind : std::uint8_t {
  counter = 1,
  intent = 2,
  abandoned = 3,
  built = 4,
  started = 5,
  revoked = 6,
  holder = 7,
  image_dropped = 8,
  admitted = 9,
  version = 10,
};

constexpr std::uint32_t most_initrds = 64;

WireWriter start(Kind kind) {
  WireWriter writer;
  writer.u8(static_cast<std::uint8_t>(kind));
  return writer;
}

std::vector<std::byte> only_serial(Kind kind, std::uint64_t serial) {
  WireWriter writer = start(kind);
  writer.u64(serial);
  return writer.take();
}

std::size_t device_count(const measure::DomainConfiguration& configuration) {
  return configuration.disks.size() + configuration.nics.size();
}

Result<Domain> read_domain(WireReader& reader) {
  Domain domain;
  const std::string record = reader.text(measure::max_record_bytes);
  domain.configuration = read_configuration(reader);
  domain.command_line = reader.text(max_text);
  domain.kernel = read_image(reader);
  const std::uint32_t initrds = reader.u32();
  if (initrds > most_initrds)
    reader.reject(fmt::format("{} initrds", initrds));
  for (std::uint32_t i = 0; i < initrds && reader.good(); ++i)
    domain.initrds.push_back(read_image(reader));
  domain.peer = read_peer(reader);
  domain.rule = reader.text(max_text);
  domain.policy_digest = reader.text(max_text);
  domain.started_unix = reader.u64();
  domain.leave_paused = reader.u8() != 0;
  domain.requester = reader.u8() != 0;
  domain.essential = reader.u8() != 0;
  domain.tpm_manager = reader.u8() != 0;
  for (std::size_t i = 0; i < device_count(domain.configuration); ++i)
    domain.backends.push_back(reader.u32());
  domain.io_pages = read_io_pages(reader);
  domain.vtpm_profile = read_profile(reader);
  domain.vtpm_of = reader.u64();
  domain.admitted = reader.u8() != 0;
  domain.vtpm_state_store = reader.u8() != 0;
  domain.uuid_given = reader.u8() != 0;
  if (reader.good())
    domain.record = TRY(measure::decode(std::as_bytes(std::span(record))));
  return domain;
}

Status apply_built(JournalState& state, WireReader& reader) {
  Domain domain = TRY(read_domain(reader));
  const std::uint64_t serial = domain.record.serial;
  state.intents.erase(serial);
  state.next_serial = std::max(state.next_serial, serial + 1);
  state.domains.insert_or_assign(serial, std::move(domain));
  return {};
}

void apply_intent(JournalState& state, WireReader& reader) {
  const std::uint64_t serial = reader.u64();
  reader.raw(state.intents[serial]);
  state.next_serial = std::max(state.next_serial, serial + 1);
}

void apply_revoked(JournalState& state, std::uint64_t serial) {
  // Until "abandoned" says that nothing of it is left, a restarted builder has to remove it.
  if (const auto found = state.domains.find(serial); found != state.domains.end()) {
    state.intents[serial] = found->second.uuid();
    if (!found->second.backends.empty())
      state.ended.insert_or_assign(serial, std::move(found->second));
    state.domains.erase(found);
  }
  state.started.erase(serial);
}

void apply_abandoned(JournalState& state, std::uint64_t serial) {
  state.intents.erase(serial);
  state.ended.erase(serial);
}

void apply_admitted(JournalState& state, std::uint64_t serial) {
  if (const auto found = state.domains.find(serial); found != state.domains.end())
    found->second.admitted = true;
}

void apply_holder(JournalState& state, WireReader& reader) {
  measure::Sha256 image{};
  reader.raw(image);
  state.holders[image].insert(reader.text(max_text));
}

void apply_image_dropped(JournalState& state, WireReader& reader) {
  measure::Sha256 image{};
  reader.raw(image);
  state.holders.erase(image);
}

} // namespace

std::vector<std::byte> version() {
  WireWriter writer = start(Kind::version);
  writer.u32(format_version);
  return writer.take();
}

Status check_version(std::span<const std::byte> first_entry) {
  constexpr std::string_view remedy = "domains of another version of the builder run here: start "
                                      "that version again, or reboot the machine";
  WireReader reader(first_entry);
  if (reader.u8() != static_cast<std::uint8_t>(Kind::version))
    return failure(
        ErrorCode::unsupported, "reading the journal",
        fmt::format("it says no version, as those before {} do; {}", format_version, remedy));
  const std::uint32_t found = reader.u32();
  TRY(reader.end("the journal's version"));
  if (found != format_version)
    return failure(ErrorCode::unsupported, "reading the journal",
                   fmt::format("it has version {}, and this builder's have {}; {}", found,
                               format_version, remedy));
  return {};
}

std::vector<std::byte> counter(std::uint64_t next_serial) {
  return only_serial(Kind::counter, next_serial);
}

std::vector<std::byte> intent(std::uint64_t serial, const measure::Uuid& uuid) {
  WireWriter writer = start(Kind::intent);
  writer.u64(serial);
  writer.raw(uuid);
  return writer.take();
}

std::vector<std::byte> abandoned(std::uint64_t serial) {
  return only_serial(Kind::abandoned, serial);
}

Result<std::vector<std::byte>> built(const Domain& domain) {
  if (domain.backends.size() != device_count(domain.configuration))
    return failure(ErrorCode::internal, "writing the journal", "a device without a backend");
  const std::vector<std::byte> record = TRY(measure::encode(domain.record));
  WireWriter writer = start(Kind::built);
  writer.u32(static_cast<std::uint32_t>(record.size()));
  writer.raw(record);
  write(writer, domain.configuration);
  writer.text(domain.command_line);
  write(writer, domain.kernel);
  writer.u32(static_cast<std::uint32_t>(domain.initrds.size()));
  for (const UsedImage& initrd : domain.initrds)
    write(writer, initrd);
  write(writer, domain.peer);
  writer.text(domain.rule);
  writer.text(domain.policy_digest);
  writer.u64(domain.started_unix);
  writer.u8(domain.leave_paused ? 1 : 0);
  writer.u8(domain.requester ? 1 : 0);
  writer.u8(domain.essential ? 1 : 0);
  writer.u8(domain.tpm_manager ? 1 : 0);
  for (const std::uint32_t backend : domain.backends)
    writer.u32(backend);
  write(writer, domain.io_pages);
  write(writer, domain.vtpm_profile);
  writer.u64(domain.vtpm_of);
  writer.u8(domain.admitted ? 1 : 0);
  writer.u8(domain.vtpm_state_store ? 1 : 0);
  writer.u8(domain.uuid_given ? 1 : 0);
  return writer.take();
}

std::vector<std::byte> admitted(std::uint64_t serial) {
  return only_serial(Kind::admitted, serial);
}
std::vector<std::byte> started(std::uint64_t serial) {
  return only_serial(Kind::started, serial);
}
std::vector<std::byte> revoked(std::uint64_t serial) {
  return only_serial(Kind::revoked, serial);
}

std::vector<std::byte> holder(const measure::Sha256& image, const std::string& requester) {
  WireWriter writer = start(Kind::holder);
  writer.raw(image);
  writer.text(requester);
  return writer.take();
}

std::vector<std::byte> image_dropped(const measure::Sha256& image) {
  WireWriter writer = start(Kind::image_dropped);
  writer.raw(image);
  return writer.take();
}

Status apply(JournalState& state, std::span<const std::byte> entry) {
  WireReader reader(entry);
  const std::uint8_t kind = reader.u8();
  switch (static_cast<Kind>(kind)) {
  case Kind::counter:
    state.next_serial = std::max(state.next_serial, reader.u64());
    break;
  case Kind::intent:
    apply_intent(state, reader);
    break;
  case Kind::abandoned:
    apply_abandoned(state, reader.u64());
    break;
  case Kind::built:
    TRY(apply_built(state, reader));
    break;
  case Kind::admitted:
    apply_admitted(state, reader.u64());
    break;
  case Kind::started:
    state.started.insert(reader.u64());
    break;
  case Kind::revoked:
    apply_revoked(state, reader.u64());
    break;
  case Kind::holder:
    apply_holder(state, reader);
    break;
  case Kind::image_dropped:
    apply_image_dropped(state, reader);
    break;
  default:
    reader.reject(fmt::format("{} is no kind of entry", kind));
  }
  return reader.end("an entry of the journal");
}

} // namespace ashlar::broker::journal_entry
