// SPDX-License-Identifier: LGPL-2.1-or-later
// What the inspector process tells the broker. The broker treats it as untrusted: the inspector has
// parsed a guest's bytes.
//
// Process contract of ashlar-inspector (no arguments, empty environment):
//   fd 3  the sealed kernel image, read-only use
//   fd 4  an empty, unsealed memfd for the plain ELF kernel (stays empty when the image is plain
//   ELF) fd 5  write end of a pipe: exactly one encoded Report, then end of file
// Exit status 0 after a report was written, whether it accepts or refuses the image. Anything else
// (killed by a signal, by seccomp, by a limit) means that the image is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::inspector {

enum class ImageFormat : std::uint8_t { elf = 1, bzimage = 2 };
enum class Compression : std::uint8_t {
  none = 0,
  gzip = 1,
  xz = 2,
  lzma = 3,
  bzip2 = 4,
  lz4 = 5,
  zstd = 6,
};
[[nodiscard]] const char* to_string(ImageFormat format);
[[nodiscard]] const char* to_string(Compression compression);

/// What an accepted kernel image is.
struct Description {
  ImageFormat format = ImageFormat::elf;
  Compression compression = Compression::none;
  std::uint64_t plain_bytes = 0; // size of the plain ELF
  bool pv = false;               // has what a 64-bit PV boot needs (XEN_ELFNOTE_ENTRY, x86-64)
  bool pvh = false;              // has XEN_ELFNOTE_PHYS32_ENTRY
  std::uint64_t load_bytes = 0;  // memory from the lowest to the highest loaded address
  std::string guest_os;          // XEN_ELFNOTE_GUEST_OS, printable, at most 32 bytes
};

/// An Error (item, check, limit in words) or a Description.
struct Report {
  Result<Description> outcome;
};

inline constexpr std::size_t max_report_bytes = 2048;
[[nodiscard]] std::vector<std::byte> encode(const Report& report);
/// Errors: invalid. Safe on hostile input.
[[nodiscard]] Result<Report> decode_report(std::span<const std::byte> bytes);

} // namespace ashlar::inspector
