// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/inspector/inspect.hpp"

#include <string>
#include <vector>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/inspector/limits.hpp"
#include "ashlar/inspector/one_reading.hpp"
#include "boot_modes.hpp"
#include "bzimage.hpp"
#include "decompress.hpp"
#include "elf_header.hpp"
#include "elf_segments.hpp"
#include "payload.hpp"
#include "xen_notes.hpp"

namespace ashlar::inspector {

namespace {

/// Checks a plain kernel and fills in everything but format and compression.
Result<Description> inspect_plain(std::span<const std::byte> file) {
  if (file.size() > max_plain_bytes)
    return failure(ErrorCode::limit, "inspecting the ELF kernel",
                   fmt::format("it has {} bytes; the limit is {}", file.size(), max_plain_bytes));
  TRY(require_one_reading(file));
  const ElfHeader header = TRY(read_elf_header(file));
  const std::vector<Segment> segments = TRY(read_segments(file, header));
  const LoadMap map = TRY(LoadMap::of(segments));
  const XenNotes notes = TRY(read_xen_notes(file, header, segments));
  const BootModes modes = TRY(find_boot_modes(notes, map));
  Description description;
  description.plain_bytes = file.size();
  description.pv = modes.pv;
  description.pvh = modes.pvh;
  description.load_bytes = map.end() - map.start();
  description.guest_os = printable(notes.guest_os.value_or("")).substr(0, max_guest_os_bytes);
  return description;
}

Result<Description> inspect_bzimage(std::span<const std::byte> image, PlainSink& sink) {
  const FileRange packed = TRY(find_bzimage_payload(image));
  const Payload payload = TRY(split_payload(packed));
  const std::span<std::byte> plain = TRY(sink.reserve(payload.plain_bytes));
  TRY(decompress(payload, plain));
  Description description = TRY(inspect_plain(plain));
  description.format = ImageFormat::bzimage;
  description.compression = payload.compression;
  return description;
}

/// As far as a message is concerned.
bool is_pe(std::span<const std::byte> image) {
  return image.size() >= 2 && image[0] == std::byte{'M'} && image[1] == std::byte{'Z'};
}

} // namespace

Result<Description> inspect(std::span<const std::byte> image, PlainSink& sink) {
  if (image.size() > max_image_bytes)
    return failure(ErrorCode::limit, "inspecting the kernel image",
                   fmt::format("it has {} bytes; the limit is {}", image.size(), max_image_bytes));
  if (has_elf_magic(image))
    return inspect_plain(image);
  if (has_bzimage_signature(image))
    return inspect_bzimage(image, sink);
  return failure(ErrorCode::unsupported, "inspecting the kernel image",
                 is_pe(image) ? "it is a PE image without a bzImage's header: of a unified kernel "
                                "image, give the kernel and the initrd that are in it"
                              : "it is neither an ELF file nor a Linux bzImage");
}

} // namespace ashlar::inspector
