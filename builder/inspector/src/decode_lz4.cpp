// SPDX-License-Identifier: LGPL-2.1-or-later
// The legacy LZ4 frame, as `lz4 -l` writes it and kernels use it (lz4: doc/lz4_Frame_format.md,
// "Legacy frame"): the magic number, then blocks of a u32 little-endian size and as many bytes,
// each of which unpacks to 8 MiB, the last one to at most that.
#include <algorithm>

#include <fmt/format.h>
#include <lz4.h>

#include "decompress.hpp"
#include "file_range.hpp"

namespace ashlar::inspector {

namespace {

constexpr std::size_t magic_bytes = 4;
constexpr std::size_t block_header_bytes = 4;
constexpr std::size_t block_plain_bytes = 8u << 20;
constexpr std::size_t block_packed_bytes = LZ4_COMPRESSBOUND(8u << 20);

/// Unpacks one block into the front of `out` and says how many bytes it gave.
Result<std::size_t> decode_block(const FileRange& block, std::span<std::byte> out,
                                 std::size_t announced) {
  if (block.size() == 0 || block.size() > block_packed_bytes)
    return broken_stream(Compression::lz4,
                         fmt::format("the block at byte {} has {} bytes; 1 to {} are allowed",
                                     block.offset(), block.size(), block_packed_bytes));
  const std::size_t room = std::min(out.size(), block_plain_bytes);
  const int produced = LZ4_decompress_safe(reinterpret_cast<const char*>(block.bytes().data()),
                                           reinterpret_cast<char*>(out.data()),
                                           static_cast<int>(block.size()), static_cast<int>(room));
  if (produced < 0 && room < block_plain_bytes)
    return broken_stream(
        Compression::lz4,
        fmt::format("the block at byte {} is broken, or unpacks to more than the {} "
                    "bytes that are announced in all",
                    block.offset(), announced));
  if (produced < 0)
    return broken_stream(Compression::lz4,
                         fmt::format("the block at byte {} is broken", block.offset()));
  return static_cast<std::size_t>(produced);
}

} // namespace

Result<Decoded> decode_lz4(std::span<const std::byte> in, std::span<std::byte> out) {
  std::size_t consumed = magic_bytes;
  std::size_t produced = 0;
  while (consumed < in.size()) {
    if (produced == out.size())
      return larger_than_announced(Compression::lz4, out.size());
    const FileRange header = TRY(
        FileRange::within(in, consumed, block_header_bytes, "a block header of the lz4 payload"));
    consumed += block_header_bytes;
    const FileRange block =
        TRY(FileRange::within(in, consumed, header.u32(0), "a block of the lz4 payload"));
    const std::size_t plain = TRY(decode_block(block, out.subspan(produced), out.size()));
    consumed += block.size();
    produced += plain;
    if (plain < block_plain_bytes && consumed < in.size())
      return broken_stream(
          Compression::lz4,
          fmt::format("the block at byte {} unpacks to {} bytes and is not the last: "
                      "it should give {}",
                      block.offset(), plain, block_plain_bytes));
  }
  return Decoded{consumed, produced};
}

} // namespace ashlar::inspector
