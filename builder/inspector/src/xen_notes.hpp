// SPDX-License-Identifier: LGPL-2.1-or-later
// What a kernel tells Xen in its notes (Xen: public/elfnote.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "ashlar/base/result.hpp"
#include "elf_header.hpp"
#include "elf_segments.hpp"

namespace ashlar::inspector {

/// The notes that decide how a kernel can be started. Absent means that the kernel does not have
/// it.
struct XenNotes {
  std::optional<std::uint64_t> entry;          // virtual
  std::optional<std::uint64_t> hypercall_page; // virtual
  std::optional<std::uint64_t> virt_base;      // virtual
  std::optional<std::uint64_t> paddr_offset;   // of physical addresses in the program headers
  std::optional<std::uint64_t> init_p2m;       // virtual
  std::optional<std::uint64_t> phys32_entry;   // physical
  std::optional<std::string> guest_os;
  std::optional<std::string> xen_version;
  std::optional<std::string> loader;
};

/// Reads the Xen notes from the note segments or, where those have none, from the note sections:
/// the order in which libxenguest looks. Each type may appear once (libxenguest would take the
/// last). Errors: limit, invalid, and unsupported when there is no Xen note at all.
[[nodiscard]] Result<XenNotes> read_xen_notes(std::span<const std::byte> file,
                                              const ElfHeader& header,
                                              std::span<const Segment> segments);

} // namespace ashlar::inspector
