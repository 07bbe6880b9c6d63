// SPDX-License-Identifier: LGPL-2.1-or-later
#include "payload.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/inspector/limits.hpp"

namespace ashlar::inspector {

namespace {

struct Magic {
  std::size_t size;
  Compression compression;
  std::array<unsigned char, 6> bytes;
};

// The first bytes, as boot.rst and Linux's lib/decompress.c list them. LZO is missing on purpose:
// no distribution uses it, and libxenguest does not read it either.
constexpr Magic magics[] = {
    {3, Compression::gzip, {0x1f, 0x8b, 0x08}},
    {6, Compression::xz, {0xfd, '7', 'z', 'X', 'Z', 0x00}},
    {2, Compression::lzma, {0x5d, 0x00}},
    {3, Compression::bzip2, {'B', 'Z', 'h'}},
    {4, Compression::lz4, {0x02, 0x21, 0x4c, 0x18}},
    {4, Compression::zstd, {0x28, 0xb5, 0x2f, 0xfd}},
};
constexpr std::size_t size_bytes = 4;

Compression detect(std::span<const std::byte> bytes) {
  for (const Magic& magic : magics) {
    const auto wanted = std::as_bytes(std::span(magic.bytes)).first(magic.size);
    if (bytes.size() >= wanted.size() && std::ranges::equal(wanted, bytes.first(wanted.size())))
      return magic.compression;
  }
  return Compression::none;
}

std::unexpected<Error> refuse(ErrorCode code, std::string why) {
  return failure(code, "reading the payload of the bzImage", std::move(why));
}

} // namespace

Result<Payload> split_payload(const FileRange& payload) {
  const auto bytes = payload.bytes();
  const Compression compression = detect(bytes);
  if (compression == Compression::none)
    return refuse(ErrorCode::unsupported,
                  fmt::format("it starts with {}, which is not gzip, xz, lzma, bzip2, lz4 or zstd",
                              to_hex(bytes.first(std::min<std::size_t>(bytes.size(), 6)))));
  if (bytes.size() <= 2 * size_bytes)
    return refuse(ErrorCode::invalid,
                  fmt::format("{} bytes cannot hold a compressed stream", bytes.size()));
  const std::uint32_t announced = payload.u32(bytes.size() - size_bytes);
  if (announced == 0)
    return refuse(ErrorCode::invalid, "it announces an unpacked size of 0 bytes");
  if (announced > max_plain_bytes)
    return refuse(ErrorCode::limit,
                  fmt::format("it announces an unpacked size of {} bytes; the limit is {} bytes",
                              announced, max_plain_bytes));
  const std::size_t appended = compression == Compression::gzip ? 0 : size_bytes;
  return Payload{compression, bytes.first(bytes.size() - appended), announced};
}

} // namespace ashlar::inspector
