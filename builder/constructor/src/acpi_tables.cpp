// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/constructor/acpi_tables.hpp"

#include <algorithm>
#include <span>
#include <string_view>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"

namespace ashlar::constructor {

namespace {

// Offsets and sizes in bytes, from the ACPI Specification 5.0.
constexpr std::size_t header_bytes = 36;        // 5.2.6, common to all tables but the RSDP
constexpr std::size_t length_offset = 4;        // 5.2.6
constexpr std::size_t checksum_offset = 9;      // 5.2.6
constexpr std::size_t rsdp_checksum_offset = 8; // 5.2.5.3
constexpr std::size_t rsdp_first_bytes = 20;    // 5.2.5.3: what the first checksum covers
constexpr std::size_t rsdp_bytes = 36;
constexpr std::size_t rsdp_extended_checksum_offset = 32;
constexpr std::size_t fadt_bytes = 268; // 5.2.9, revision 5
constexpr std::size_t table_alignment = 64;

constexpr std::uint8_t rsdp_revision = 2;
constexpr std::uint8_t dsdt_revision = 2; // 64-bit integers
constexpr std::uint8_t fadt_revision = 5;
constexpr std::uint8_t madt_revision = 3;
constexpr std::uint8_t xsdt_revision = 1;

constexpr std::uint32_t fadt_wbinvd = 1U << 0;
constexpr std::uint32_t fadt_processor_c1 = 1U << 2;
constexpr std::uint32_t fadt_hardware_reduced = 1U << 20; // no PM timer, no SCI, no fixed registers
constexpr std::uint32_t boot_no_vga = 1U << 2;            // IAPC_BOOT_ARCH, 5.2.9.3
constexpr std::uint32_t boot_no_cmos_clock = 1U << 5;

constexpr std::uint32_t local_apic_address = 0xfee00000;
constexpr std::uint8_t madt_local_apic = 0; // entry type, 5.2.12.2
constexpr std::uint8_t madt_local_apic_bytes = 8;
constexpr std::uint32_t local_apic_enabled = 1;

using Bytes = std::vector<std::byte>;

void zeros(WireWriter& writer, std::size_t count) {
  writer.raw(Bytes(count));
}

void put_u32(std::span<std::byte> bytes, std::size_t offset, std::uint32_t value) {
  for (const std::size_t i : {0U, 1U, 2U, 3U})
    bytes[offset + i] = static_cast<std::byte>(value >> (8 * i));
}

/// Makes the covered bytes add up to zero modulo 256.
void put_checksum(std::span<std::byte> covered, std::size_t offset) {
  std::uint8_t sum = 0;
  covered[offset] = std::byte{0};
  for (const std::byte byte : covered)
    sum = static_cast<std::uint8_t>(sum + std::to_integer<unsigned>(byte));
  covered[offset] = static_cast<std::byte>(-sum);
}

/// A header whose length and checksum finish() fills in.
WireWriter begin_table(std::string_view signature, std::uint8_t revision) {
  WireWriter writer;
  writer.raw(as_bytes(signature));
  writer.u32(0);
  writer.u8(revision);
  writer.u8(0);
  writer.raw(as_bytes("Ashlar"));   // OEM id, 6 bytes
  writer.raw(as_bytes("PVHguest")); // OEM table id, 8 bytes
  writer.u32(1);                    // OEM revision
  writer.raw(as_bytes("ASHL"));     // creator
  writer.u32(1);                    // creator revision
  return writer;
}

Bytes finish(WireWriter writer) {
  Bytes table = writer.take();
  put_u32(table, length_offset, static_cast<std::uint32_t>(table.size()));
  put_checksum(table, checksum_offset);
  return table;
}

Bytes make_fadt(std::uint64_t dsdt) {
  WireWriter writer = begin_table("FACP", fadt_revision);
  writer.u32(0);                                // FACS: none is needed with reduced hardware
  writer.u32(static_cast<std::uint32_t>(dsdt)); // DSDT: below 4 GiB
  zeros(writer, 109 - writer.bytes().size());   // no fixed hardware
  writer.u8(boot_no_vga | boot_no_cmos_clock);
  zeros(writer, 112 - writer.bytes().size());
  writer.u32(fadt_wbinvd | fadt_processor_c1 | fadt_hardware_reduced);
  zeros(writer, 140 - writer.bytes().size()); // reset register, X_FIRMWARE_CTRL
  writer.u64(dsdt);                           // X_DSDT
  zeros(writer, fadt_bytes - writer.bytes().size());
  return finish(std::move(writer));
}

Bytes make_madt(std::uint32_t vcpus) {
  WireWriter writer = begin_table("APIC", madt_revision);
  writer.u32(local_apic_address);
  writer.u32(0); // flags: no 8259 interrupt controllers
  for (std::uint32_t vcpu = 0; vcpu < vcpus; vcpu++) {
    writer.u8(madt_local_apic);
    writer.u8(madt_local_apic_bytes);
    writer.u8(static_cast<std::uint8_t>(vcpu));
    writer.u8(static_cast<std::uint8_t>(2 * vcpu)); // the id that Xen gives it
    writer.u32(local_apic_enabled);
  }
  return finish(std::move(writer));
}

Bytes make_rsdp(std::uint64_t xsdt) {
  WireWriter writer;
  writer.raw(as_bytes("RSD PTR "));
  writer.u8(0); // checksum of the first 20 bytes
  writer.raw(as_bytes("Ashlar"));
  writer.u8(rsdp_revision);
  writer.u32(0); // no RSDT
  writer.u32(rsdp_bytes);
  writer.u64(xsdt);
  writer.u32(0); // extended checksum, reserved
  Bytes rsdp = writer.take();
  put_checksum(std::span(rsdp).first(rsdp_first_bytes), rsdp_checksum_offset);
  put_checksum(rsdp, rsdp_extended_checksum_offset);
  return rsdp;
}

/// Appends a table on its alignment and gives its guest-physical address.
std::uint64_t place(Bytes& block, std::uint64_t start, const Bytes& table) {
  block.resize((block.size() + table_alignment - 1) / table_alignment * table_alignment);
  const std::uint64_t address = start + block.size();
  block.insert(block.end(), table.begin(), table.end());
  return address;
}

} // namespace

std::vector<std::byte> acpi_tables(std::uint64_t start, std::uint32_t vcpus) {
  static_assert(header_bytes == 4 + 4 + 1 + 1 + 6 + 8 + 4 + 4 + 4);
  Bytes block(rsdp_bytes); // filled in last, when the XSDT has an address
  const std::uint64_t dsdt = place(block, start, finish(begin_table("DSDT", dsdt_revision)));
  const std::uint64_t fadt = place(block, start, make_fadt(dsdt));
  const std::uint64_t madt = place(block, start, make_madt(vcpus));
  WireWriter xsdt = begin_table("XSDT", xsdt_revision);
  xsdt.u64(fadt);
  xsdt.u64(madt);
  const Bytes rsdp = make_rsdp(place(block, start, finish(std::move(xsdt))));
  std::ranges::copy(rsdp, block.begin());
  return block;
}

} // namespace ashlar::constructor
