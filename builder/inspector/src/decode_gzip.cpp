// SPDX-License-Identifier: LGPL-2.1-or-later
#include <memory>

#include <zlib.h>

#include "decompress.hpp"

namespace ashlar::inspector {

namespace {

struct InflateEnd {
  void operator()(z_stream* stream) const { inflateEnd(stream); }
};

constexpr int gzip_only = 16; // added to the window bits: no zlib and no raw deflate streams

} // namespace

Result<Decoded> decode_gzip(std::span<const std::byte> in, std::span<std::byte> out) {
  z_stream stream = {};
  if (inflateInit2(&stream, MAX_WBITS + gzip_only) != Z_OK)
    return failure(ErrorCode::io, "starting the gzip decoder", "zlib has no memory for it");
  const std::unique_ptr<z_stream, InflateEnd> owner(&stream);
  // max_image_bytes and max_plain_bytes keep both sizes below 4 GiB. zlib does not write to
  // next_in.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  // All at once: `out` itself is then the decoder's window.
  const int status = inflate(&stream, Z_FINISH);
  if (status == Z_STREAM_END)
    return Decoded{stream.total_in, stream.total_out};
  if (status == Z_BUF_ERROR && stream.avail_out == 0 && stream.avail_in != 0)
    return larger_than_announced(Compression::gzip, out.size());
  if (status == Z_BUF_ERROR)
    return broken_stream(Compression::gzip, "the stream is cut off");
  return broken_stream(Compression::gzip,
                       stream.msg != nullptr ? stream.msg : "the data is broken");
}

} // namespace ashlar::inspector
