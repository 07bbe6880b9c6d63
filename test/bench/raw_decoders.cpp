// SPDX-License-Identifier: LGPL-2.1-or-later
#include "raw_decoders.hpp"

#include <bzlib.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

namespace ashlar::bench {

namespace {

using In = std::span<const std::byte>;
using Out = std::span<std::byte>;

const std::uint8_t* octets(In bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}
std::uint8_t* octets(Out bytes) {
  return reinterpret_cast<std::uint8_t*>(bytes.data());
}

bool gzip(In in, Out out) {
  constexpr int gzip_window_bits = 16 + MAX_WBITS;
  z_stream stream = {};
  if (inflateInit2(&stream, gzip_window_bits) != Z_OK)
    return false;
  stream.next_in = const_cast<std::uint8_t*>(octets(in)); // zlib's interface predates const
  stream.avail_in = static_cast<unsigned>(in.size());
  stream.next_out = octets(out);
  stream.avail_out = static_cast<unsigned>(out.size());
  const bool ended = inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  return ended;
}

bool xz(In in, Out out) {
  std::uint64_t memory = std::numeric_limits<std::uint64_t>::max();
  std::size_t consumed = 0;
  std::size_t produced = 0;
  return lzma_stream_buffer_decode(&memory, 0, nullptr, octets(in), &consumed, in.size(),
                                   octets(out), &produced, out.size()) == LZMA_OK &&
         produced == out.size();
}

bool lzma(In in, Out out) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_alone_decoder(&stream, std::numeric_limits<std::uint64_t>::max()) != LZMA_OK)
    return false;
  stream.next_in = octets(in);
  stream.avail_in = in.size();
  stream.next_out = octets(out);
  stream.avail_out = out.size();
  const lzma_ret status = lzma_code(&stream, LZMA_FINISH);
  const bool filled = stream.avail_out == 0;
  lzma_end(&stream);
  return filled && (status == LZMA_STREAM_END || status == LZMA_OK);
}

bool bzip2(In in, Out out) {
  auto produced = static_cast<unsigned>(out.size());
  // bzlib's interface predates const.
  char* const source = const_cast<char*>(reinterpret_cast<const char*>(in.data()));
  return BZ2_bzBuffToBuffDecompress(reinterpret_cast<char*>(out.data()), &produced, source,
                                    static_cast<unsigned>(in.size()), 0, 0) == BZ_OK &&
         produced == out.size();
}

bool lz4(In in, Out out) {
  std::uint32_t block = 0; // the size of one; the magic number is as long
  in = in.subspan(sizeof block);
  while (in.size() > sizeof block) {
    std::memcpy(&block, in.data(), sizeof block);
    in = in.subspan(sizeof block);
    const int produced = LZ4_decompress_safe(
        reinterpret_cast<const char*>(in.data()), reinterpret_cast<char*>(out.data()),
        static_cast<int>(block),
        static_cast<int>(std::min(out.size(), std::size_t{LZ4_MAX_INPUT_SIZE})));
    if (produced < 0)
      return false;
    in = in.subspan(block);
    out = out.subspan(static_cast<std::size_t>(produced));
  }
  return out.empty();
}

bool zstd(In in, Out out) {
  return ZSTD_decompress(out.data(), out.size(), in.data(), in.size()) == out.size();
}

} // namespace

bool decode_raw(inspector::Compression compression, In in, Out out) {
  switch (compression) {
  case inspector::Compression::gzip:
    return gzip(in, out);
  case inspector::Compression::xz:
    return xz(in, out);
  case inspector::Compression::lzma:
    return lzma(in, out);
  case inspector::Compression::bzip2:
    return bzip2(in, out);
  case inspector::Compression::lz4:
    return lz4(in, out);
  case inspector::Compression::zstd:
    return zstd(in, out);
  case inspector::Compression::none:
    return false;
  }
  return false;
}

} // namespace ashlar::bench
