// SPDX-License-Identifier: LGPL-2.1-or-later
// The ACPI tables of a PVH guest: enough to find its processors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ashlar::constructor {

/// RSDP, DSDT (empty), FADT (hardware-reduced), MADT (one local APIC a vCPU) and XSDT, as one block
/// to be loaded at the guest-physical address `start` (a multiple of 64). The RSDP is its first
/// byte. Xen gives vCPU K the local APIC id 2·K, so at most 128 vCPUs have one (255 is the
/// broadcast id). Format: ACPI Specification 5.0, chapter 5.2.
[[nodiscard]] std::vector<std::byte> acpi_tables(std::uint64_t start, std::uint32_t vcpus);

} // namespace ashlar::constructor
