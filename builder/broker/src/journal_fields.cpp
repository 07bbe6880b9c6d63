// SPDX-License-Identifier: LGPL-2.1-or-later
#include "journal_fields.hpp"

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/signature/limits.hpp"

namespace ashlar::broker::journal_entry {

void write(WireWriter& writer, const UsedImage& image) {
  writer.text(image.label);
  writer.u64(image.size);
  for (const measure::Bank bank : measure::all_banks)
    writer.raw(image.digests.of(bank));
  writer.text(std::string_view(reinterpret_cast<const char*>(image.signature.data()),
                               image.signature.size()));
}

UsedImage read_image(WireReader& reader) {
  UsedImage image;
  image.label = reader.text(max_text);
  image.size = reader.u64();
  reader.raw(image.digests.sha1);
  reader.raw(image.digests.sha256);
  reader.raw(image.digests.sha384);
  const std::string signature = reader.text(signature::max_request_signature_bytes);
  const std::span<const std::byte> bytes = as_bytes(signature);
  image.signature.assign(bytes.begin(), bytes.end());
  return image;
}

void write(WireWriter& writer, const measure::DomainConfiguration& configuration) {
  writer.text(configuration.name);
  writer.u8(static_cast<std::uint8_t>(configuration.type));
  writer.u32(configuration.vcpus);
  writer.u64(configuration.memory_kib);
  writer.u64(configuration.max_memory_kib);
  writer.u8(static_cast<std::uint8_t>(configuration.on_poweroff));
  writer.u8(static_cast<std::uint8_t>(configuration.on_reboot));
  writer.u8(static_cast<std::uint8_t>(configuration.on_crash));
  writer.u8(static_cast<std::uint8_t>(configuration.vtpm));
  writer.text(configuration.xsm_label);
  writer.u32(static_cast<std::uint32_t>(configuration.disks.size()));
  for (const measure::Disk& disk : configuration.disks)
    writer.text(measure::canonical_text(disk));
  writer.u32(static_cast<std::uint32_t>(configuration.nics.size()));
  for (const measure::Nic& nic : configuration.nics)
    writer.text(measure::canonical_text(nic));
}

void write(WireWriter& writer, std::span<const constructor::IoPages> ranges) {
  writer.u32(static_cast<std::uint32_t>(ranges.size()));
  for (const constructor::IoPages& pages : ranges) {
    writer.u64(pages.first_page);
    writer.u32(pages.count);
  }
}

std::vector<constructor::IoPages> read_io_pages(WireReader& reader) {
  std::vector<constructor::IoPages> ranges;
  const std::uint32_t count = reader.u32();
  if (count > constructor::max_io_ranges)
    reader.reject(fmt::format("{} ranges of I/O memory", count));
  for (std::uint32_t i = 0; i < count && reader.good(); ++i) {
    const std::uint64_t first_page = reader.u64();
    ranges.push_back({.first_page = first_page, .count = reader.u32()});
  }
  return ranges;
}

// A profile as its number plus 1; 0 is none.
void write(WireWriter& writer, std::optional<measure::Profile> profile) {
  writer.u8(profile ? static_cast<std::uint8_t>(static_cast<int>(*profile) + 1) : 0);
}

std::optional<measure::Profile> read_profile(WireReader& reader) {
  const std::uint8_t number = reader.u8();
  if (number == 0)
    return std::nullopt;
  if (number > measure::all_profiles.size())
    reader.reject(fmt::format("{} is no PCR profile", number));
  return static_cast<measure::Profile>(number - 1);
}

namespace {

measure::StopAction read_action(WireReader& reader) {
  const std::uint8_t value = reader.u8();
  if (value > static_cast<std::uint8_t>(measure::StopAction::preserve))
    reader.reject(fmt::format("{} is no stop action", value));
  return static_cast<measure::StopAction>(value);
}

/// Texts of devices, each read by `read`.
template <typename Device>
std::vector<Device> read_devices(WireReader& reader, std::size_t most,
                                 Result<Device> (*read)(std::string_view)) {
  std::vector<Device> devices;
  const std::uint32_t count = reader.u32();
  if (count > most)
    reader.reject(fmt::format("{} devices of a kind", count));
  for (std::uint32_t i = 0; i < count && reader.good(); ++i) {
    const std::string text = reader.text(max_text);
    Result<Device> device = read(text);
    if (device)
      devices.push_back(std::move(*device));
    else if (reader.good())
      reader.reject(device.error().message());
  }
  return devices;
}

} // namespace

measure::DomainConfiguration read_configuration(WireReader& reader) {
  measure::DomainConfiguration configuration;
  configuration.name = reader.text(max_text);
  const std::uint8_t type = reader.u8();
  if (type > static_cast<std::uint8_t>(measure::GuestType::pvh))
    reader.reject(fmt::format("{} is no guest type", type));
  configuration.type = static_cast<measure::GuestType>(type);
  configuration.vcpus = reader.u32();
  configuration.memory_kib = reader.u64();
  configuration.max_memory_kib = reader.u64();
  configuration.on_poweroff = read_action(reader);
  configuration.on_reboot = read_action(reader);
  configuration.on_crash = read_action(reader);
  const std::uint8_t vtpm = reader.u8();
  if (vtpm > static_cast<std::uint8_t>(measure::Vtpm::tpm20))
    reader.reject(fmt::format("{} is no vTPM version", vtpm));
  configuration.vtpm = static_cast<measure::Vtpm>(vtpm);
  configuration.xsm_label = reader.text(measure::max_xsm_label_bytes);
  configuration.disks = read_devices(reader, measure::max_disks, measure::disk_from_text);
  configuration.nics = read_devices(reader, measure::max_nics, measure::nic_from_text);
  return configuration;
}

namespace {
enum class PeerKind : std::uint8_t { boot_manifest = 0, domain = 1, process = 2 };
} // namespace

void write(WireWriter& writer, const policy::Peer& peer) {
  if (const auto* domain = std::get_if<policy::DomainPeer>(&peer)) {
    writer.u8(static_cast<std::uint8_t>(PeerKind::domain));
    writer.text(domain->name);
    writer.text(domain->uuid);
  } else if (const auto* process = std::get_if<policy::ProcessPeer>(&peer)) {
    writer.u8(static_cast<std::uint8_t>(PeerKind::process));
    writer.u32(process->uid);
    writer.u32(process->gid);
  } else {
    writer.u8(static_cast<std::uint8_t>(PeerKind::boot_manifest));
  }
}

policy::Peer read_peer(WireReader& reader) {
  switch (static_cast<PeerKind>(reader.u8())) {
  case PeerKind::boot_manifest:
    return policy::BootManifestPeer{};
  case PeerKind::domain: {
    policy::DomainPeer domain;
    domain.name = reader.text(max_text);
    domain.uuid = reader.text(max_text);
    return domain;
  }
  case PeerKind::process: {
    policy::ProcessPeer process;
    process.uid = reader.u32();
    process.gid = reader.u32();
    return process;
  }
  }
  reader.reject("it names no kind of peer");
  return policy::BootManifestPeer{};
}

} // namespace ashlar::broker::journal_entry
