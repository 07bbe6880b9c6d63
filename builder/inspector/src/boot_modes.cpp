// SPDX-License-Identifier: LGPL-2.1-or-later
#include "boot_modes.hpp"

#include <cstdint>
#include <limits>
#include <string>

#include <fmt/format.h>

namespace ashlar::inspector {

namespace {

constexpr std::uint64_t four_gib = std::uint64_t{1} << 32;

std::unexpected<Error> refuse(ErrorCode code, std::string why) {
  return failure(code, "checking how the ELF kernel starts", std::move(why));
}

Result<bool> supports_pvh(const XenNotes& notes, const LoadMap& map) {
  if (!notes.phys32_entry)
    return false;
  if (map.end() > four_gib)
    return refuse(
        ErrorCode::invalid,
        fmt::format("a PVH kernel starts in 32-bit mode, but this one is loaded up to {:#x}",
                    map.end()));
  if (!map.has_file_byte(*notes.phys32_entry))
    return refuse(ErrorCode::invalid,
                  fmt::format("PHYS32_ENTRY is {:#x}, where nothing from the file is loaded",
                              *notes.phys32_entry));
  return true;
}

/// The kernel's place in virtual memory: where physical address 0 would be, and how far it reaches.
struct VirtualRange {
  std::uint64_t offset = 0;
  std::uint64_t start = 0;
  std::uint64_t end = 0;
};

Result<VirtualRange> find_virtual_range(const XenNotes& notes, const LoadMap& map) {
  if (notes.paddr_offset && !notes.virt_base)
    return refuse(ErrorCode::invalid, "PADDR_OFFSET is set, but VIRT_BASE is not");
  VirtualRange range;
  const std::uint64_t base = notes.virt_base.value_or(0);
  // Modulo 2^64 by intent: some kernels give virtual addresses as physical ones.
  range.offset = base - notes.paddr_offset.value_or(0);
  range.start = map.start() + range.offset;
  range.end = map.end() + range.offset;
  if (range.start >= range.end || base > range.start)
    return refuse(
        ErrorCode::invalid,
        fmt::format("its virtual addresses ({:#x} to {:#x}, VIRT_BASE {:#x}) wrap around or "
                    "start below VIRT_BASE",
                    range.start, range.end, base));
  return range;
}

/// Whether the notes are those of a PV kernel that libxenguest loads; the addresses are not looked
/// at.
bool names_pv(const XenNotes& notes) {
  const bool known_os = notes.guest_os.value_or("").starts_with("linux") ||
                        notes.loader.value_or("").starts_with("generic");
  return notes.entry && known_os && notes.xen_version.value_or("").starts_with("xen-3.0");
}

Result<bool> supports_pv(const XenNotes& notes, const LoadMap& map) {
  if (!names_pv(notes))
    return false;
  const VirtualRange range = TRY(find_virtual_range(notes, map));
  if (!map.has_file_byte(*notes.entry - range.offset))
    return refuse(
        ErrorCode::invalid,
        fmt::format("ENTRY is {:#x}, where nothing from the file is loaded", *notes.entry));
  const auto loaded = [&range](std::uint64_t address) {
    return address >= range.start && address < range.end;
  };
  if (notes.hypercall_page && !loaded(*notes.hypercall_page))
    return refuse(ErrorCode::invalid,
                  fmt::format("HYPERCALL_PAGE is {:#x}, outside the kernel ({:#x} "
                              "to {:#x})",
                              *notes.hypercall_page, range.start, range.end));
  if (notes.init_p2m && loaded(*notes.init_p2m))
    return refuse(ErrorCode::invalid,
                  fmt::format("INIT_P2M is {:#x}, inside the kernel", *notes.init_p2m));
  return true;
}

} // namespace

Result<BootModes> find_boot_modes(const XenNotes& notes, const LoadMap& map) {
  BootModes modes;
  modes.pv = TRY(supports_pv(notes, map));
  modes.pvh = TRY(supports_pvh(notes, map));
  if (!modes.pv && !modes.pvh)
    return refuse(ErrorCode::unsupported,
                  "its Xen notes have neither PHYS32_ENTRY (for PVH) nor ENTRY with XEN_VERSION "
                  "\"xen-3.0\" and GUEST_OS \"linux\" or LOADER \"generic\" (for PV)");
  return modes;
}

} // namespace ashlar::inspector
