// SPDX-License-Identifier: LGPL-2.1-or-later
#include "bzimage.hpp"

#include <cstdint>
#include <string>

#include <fmt/format.h>

namespace ashlar::inspector {

namespace {

// Offsets from the start of the file, as boot.rst lists them.
constexpr std::size_t setup_sects_at = 0x1f1;
constexpr std::size_t syssize_at = 0x1f4;
constexpr std::size_t boot_flag_at = 0x1fe;
constexpr std::size_t signature_at = 0x202;
constexpr std::size_t version_at = 0x206;
constexpr std::size_t loadflags_at = 0x211;
constexpr std::size_t payload_offset_at = 0x248;
constexpr std::size_t payload_length_at = 0x24c;
constexpr std::size_t setup_header_bytes = 0x250;

constexpr std::uint32_t signature = 0x53726448; // "HdrS"
constexpr std::uint16_t boot_flag = 0xaa55;
constexpr std::uint16_t oldest_version = 0x0208;
constexpr std::uint8_t loaded_high = 0x01;
constexpr std::uint64_t sector_bytes = 512;
constexpr std::uint64_t paragraph_bytes = 16;

std::unexpected<Error> refuse(ErrorCode code, std::string why) {
  return failure(code, "reading the setup header of the bzImage", std::move(why));
}

Status check_signatures(const FileRange& header) {
  if (header.u16(boot_flag_at) != boot_flag)
    return refuse(ErrorCode::invalid,
                  fmt::format("the boot flag at byte {:#x} is {:#06x}, not {:#06x}", boot_flag_at,
                              header.u16(boot_flag_at), boot_flag));
  if (header.u32(signature_at) != signature)
    return refuse(ErrorCode::invalid, "the signature \"HdrS\" is missing");
  const std::uint16_t version = header.u16(version_at);
  if (version < oldest_version)
    return refuse(
        ErrorCode::unsupported,
        fmt::format("boot protocol {}.{:02} does not say where the kernel is; 2.08 or later "
                    "is needed",
                    version >> 8, version & 0xff));
  if ((header.u8(loadflags_at) & loaded_high) == 0)
    return refuse(ErrorCode::unsupported,
                  "this is a zImage (LOADED_HIGH is not set), not a bzImage");
  return {};
}

} // namespace

bool has_bzimage_signature(std::span<const std::byte> image) {
  const auto range = FileRange::within(image, signature_at, sizeof signature, "the signature");
  return range && range->u32(0) == signature;
}

Result<FileRange> find_bzimage_payload(std::span<const std::byte> image) {
  const FileRange header =
      TRY(FileRange::within(image, 0, setup_header_bytes, "the setup header of the bzImage"));
  TRY(check_signatures(header));

  // "For backwards compatibility, if the setup_sects field contains 0, the real value is 4."
  const std::uint64_t setup_sects = header.u8(setup_sects_at) == 0 ? 4 : header.u8(setup_sects_at);
  const std::uint64_t code_at = (setup_sects + 1) * sector_bytes;
  const FileRange code =
      TRY(FileRange::within(image, code_at, header.u32(syssize_at) * paragraph_bytes,
                            "the protected-mode code of the bzImage (setup_sects, syssize)"));
  const std::uint64_t offset = header.u32(payload_offset_at);
  const std::uint64_t length = header.u32(payload_length_at);
  if (offset == 0 || length == 0)
    return refuse(ErrorCode::unsupported,
                  "it names no payload (payload_offset or payload_length is 0)");
  if (offset > code.size() || length > code.size() - offset)
    return refuse(ErrorCode::invalid,
                  fmt::format("the payload ({} bytes at {}) ends past the protected-mode code ({} "
                              "bytes)",
                              length, offset, code.size()));
  return FileRange::within(image, code_at + offset, length, "the payload of the bzImage");
}

} // namespace ashlar::inspector
