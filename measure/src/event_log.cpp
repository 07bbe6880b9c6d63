// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/measure/event_log.hpp"

#include <string_view>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"

namespace ashlar::measure {

namespace {

constexpr std::string_view signature("Spec ID Event03\0", 16);
constexpr std::uint32_t client_platform = 0;
constexpr std::uint8_t spec_version_minor = 0;
constexpr std::uint8_t spec_version_major = 2;
constexpr std::uint8_t spec_errata = 0;
constexpr std::uint8_t uintn_size_64 = 2; // in units of 32 bits

void u16(WireWriter& writer, std::size_t value) {
  writer.u8(static_cast<std::uint8_t>(value & 0xff));
  writer.u8(static_cast<std::uint8_t>(value >> 8));
}

/// The body of the first entry: which algorithms the others have, and how long their digests are.
std::vector<std::byte> spec_id(std::span<const Bank> banks) {
  WireWriter writer;
  writer.raw(as_bytes(signature));
  writer.u32(client_platform);
  writer.u8(spec_version_minor);
  writer.u8(spec_version_major);
  writer.u8(spec_errata);
  writer.u8(uintn_size_64);
  writer.u32(static_cast<std::uint32_t>(banks.size()));
  for (const Bank bank : banks) {
    u16(writer, tcg_algorithm(bank));
    u16(writer, Digests{}.of(bank).size());
  }
  writer.u8(0); // bytes of vendor information
  return writer.take();
}

} // namespace

std::uint16_t tcg_algorithm(Bank bank) {
  switch (bank) {
  case Bank::sha1:
    return 0x4;
  case Bank::sha256:
    return 0xB;
  case Bank::sha384:
    return 0xC;
  }
  return 0;
}

std::vector<std::byte> event_log(Profile profile, std::span<const Extension> extensions) {
  const std::span<const Bank> banks = banks_of(profile);
  const std::vector<std::byte> header = spec_id(banks);
  WireWriter writer;
  // The first entry has the older form, with one SHA-1 digest, here zeros: all readers know it.
  writer.u32(0);
  writer.u32(static_cast<std::uint32_t>(LogType::no_action));
  writer.raw(Sha1{});
  writer.u32(static_cast<std::uint32_t>(header.size()));
  writer.raw(header);
  for (const Extension& extension : extensions) {
    writer.u32(extension.pcr);
    writer.u32(static_cast<std::uint32_t>(extension.log_type));
    writer.u32(static_cast<std::uint32_t>(banks.size()));
    for (const Bank bank : banks) {
      u16(writer, tcg_algorithm(bank));
      writer.raw(extension.digests.of(bank));
    }
    writer.text(extension.log_text); // a u32 length and the bytes
  }
  return writer.take();
}

} // namespace ashlar::measure
