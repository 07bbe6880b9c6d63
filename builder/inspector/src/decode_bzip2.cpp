// SPDX-License-Identifier: LGPL-2.1-or-later
#include <array>
#include <memory>

#include <bzlib.h>

#include "decompress.hpp"

namespace ashlar::inspector {

namespace {

struct DecompressEnd {
  void operator()(bz_stream* stream) const { BZ2_bzDecompressEnd(stream); }
};

std::uint64_t joined(unsigned high, unsigned low) {
  return (std::uint64_t{high} << 32) | low;
}

} // namespace

Result<Decoded> decode_bzip2(std::span<const std::byte> in, std::span<std::byte> out) {
  bz_stream stream = {};
  if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK)
    return failure(ErrorCode::io, "starting the bzip2 decoder", "there is no memory for it");
  const std::unique_ptr<bz_stream, DecompressEnd> owner(&stream);
  // max_image_bytes and max_plain_bytes keep both sizes below 4 GiB. bzip2 does not write to
  // next_in.
  stream.next_in = reinterpret_cast<char*>(const_cast<std::byte*>(in.data()));
  stream.avail_in = static_cast<unsigned>(in.size());
  stream.next_out = reinterpret_cast<char*>(out.data());
  stream.avail_out = static_cast<unsigned>(out.size());
  int status = BZ2_bzDecompress(&stream);
  if (status == BZ_OK && stream.avail_out == 0) {
    // The decoder reads the end of the stream only while it has room to write.
    std::array<char, 1> excess = {};
    stream.next_out = excess.data();
    stream.avail_out = excess.size();
    status = BZ2_bzDecompress(&stream);
    if (stream.avail_out == 0)
      return larger_than_announced(Compression::bzip2, out.size());
  }
  if (status == BZ_OK)
    return broken_stream(Compression::bzip2, "the stream is cut off");
  if (status != BZ_STREAM_END)
    return broken_stream(Compression::bzip2, "the data is broken");
  return Decoded{joined(stream.total_in_hi32, stream.total_in_lo32),
                 joined(stream.total_out_hi32, stream.total_out_lo32)};
}

} // namespace ashlar::inspector
