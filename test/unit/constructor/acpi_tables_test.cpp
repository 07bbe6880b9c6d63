// SPDX-License-Identifier: LGPL-2.1-or-later
// Reads the tables as a guest does: by the offsets in the ACPI Specification 5.0.
#include <doctest/doctest.h>

#include <string>

#include "ashlar/constructor/acpi_tables.hpp"
#include "ashlar/constructor/memory_layout.hpp"

using ashlar::constructor::acpi_tables, ashlar::constructor::acpi_start;

namespace {

struct Reader {
  std::vector<std::byte> block;

  std::uint64_t number(std::uint64_t address, unsigned width) const {
    std::uint64_t value = 0;
    for (unsigned i = width; i-- > 0;)
      value = (value << 8) | std::to_integer<std::uint64_t>(block.at(address - acpi_start + i));
    return value;
  }
  std::string text(std::uint64_t address, unsigned length) const {
    std::string text;
    for (unsigned i = 0; i < length; i++)
      text.push_back(static_cast<char>(number(address + i, 1)));
    return text;
  }
  unsigned sum(std::uint64_t address, std::uint64_t length) const {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < length; i++)
      sum += number(address + i, 1);
    return static_cast<unsigned>(sum & 0xff);
  }
  std::uint64_t length(std::uint64_t table) const { return number(table + 4, 4); }
  std::uint64_t xsdt() const { return number(acpi_start + 24, 8); }
  /// The table that entry `index` of the XSDT names.
  std::uint64_t entry(unsigned index) const {
    return number(xsdt() + 36 + std::uint64_t{8} * index, 8);
  }
};

Reader tables(std::uint32_t vcpus) {
  return {acpi_tables(acpi_start, vcpus)};
}

} // namespace

TEST_CASE("acpi: the block begins with an RSDP whose two checksums hold") {
  const Reader reader = tables(4);
  CHECK(reader.text(acpi_start, 8) == "RSD PTR ");
  CHECK(reader.number(acpi_start + 15, 1) == 2);
  CHECK(reader.number(acpi_start + 20, 4) == 36);
  CHECK(reader.sum(acpi_start, 20) == 0);
  CHECK(reader.sum(acpi_start, 36) == 0);
}

TEST_CASE("acpi: the XSDT leads to FADT and MADT, and all checksums hold") {
  const Reader reader = tables(4);
  CHECK(reader.text(reader.xsdt(), 4) == "XSDT");
  REQUIRE(reader.length(reader.xsdt()) == 36 + 2 * 8);
  CHECK(reader.text(reader.entry(0), 4) == "FACP");
  CHECK(reader.text(reader.entry(1), 4) == "APIC");
  for (const std::uint64_t table : {reader.xsdt(), reader.entry(0), reader.entry(1)})
    CHECK(reader.sum(table, reader.length(table)) == 0);
}

TEST_CASE("acpi: the FADT is of revision 5, hardware-reduced, and leads to the DSDT both ways") {
  const Reader reader = tables(1);
  const std::uint64_t fadt = reader.entry(0);
  CHECK(reader.length(fadt) == 268);
  CHECK(reader.number(fadt + 8, 1) == 5);
  CHECK((reader.number(fadt + 112, 4) & (1U << 20)) != 0);
  CHECK((reader.number(fadt + 109, 2) & (1U << 2)) != 0); // no VGA to probe for
  const std::uint64_t dsdt = reader.number(fadt + 140, 8);
  CHECK(reader.number(fadt + 40, 4) == dsdt);
  CHECK(reader.text(dsdt, 4) == "DSDT");
  CHECK(reader.length(dsdt) == 36);
  CHECK(reader.sum(dsdt, 36) == 0);
}

TEST_CASE("acpi: the MADT gives vCPU K the enabled local APIC 2*K") {
  for (const std::uint32_t vcpus : {1U, 4U, 128U}) {
    const Reader reader = tables(vcpus);
    const std::uint64_t madt = reader.entry(1);
    CHECK(reader.number(madt + 36, 4) == 0xfee00000);
    REQUIRE(reader.length(madt) == 44 + 8 * vcpus);
    for (std::uint32_t vcpu = 0; vcpu < vcpus; vcpu++) {
      const std::uint64_t entry = madt + 44 + std::uint64_t{8} * vcpu;
      CHECK(reader.number(entry, 2) == 0x0800); // type 0, length 8
      CHECK(reader.number(entry + 2, 1) == vcpu);
      CHECK(reader.number(entry + 3, 1) == 2 * vcpu);
      CHECK(reader.number(entry + 4, 4) == 1);
    }
  }
}
