// SPDX-License-Identifier: LGPL-2.1-or-later
// Compresses as a kernel's build does. Failing to is a broken test machine: it ends the test.
#include <cstdlib>

#include <bzlib.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "kernel_image.hpp"

namespace ashlar::inspector::test {

namespace {

void require(bool holds) {
  if (!holds)
    std::abort();
}

Bytes::size_type room_for(const Bytes& plain) {
  return plain.size() + plain.size() / 8 + 4096;
}

Bytes gzip(Bytes plain) {
  Bytes packed(room_for(plain));
  z_stream stream = {};
  require(deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  require(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

Bytes xz(const Bytes& plain) {
  lzma_options_lzma options = {};
  require(lzma_lzma_preset(&options, 6) == 0);
  lzma_filter filters[] = {
      {LZMA_FILTER_X86, nullptr}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
  Bytes packed(room_for(plain));
  std::size_t size = 0;
  require(lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, nullptr,
                                    reinterpret_cast<const std::uint8_t*>(plain.data()),
                                    plain.size(), reinterpret_cast<std::uint8_t*>(packed.data()),
                                    &size, packed.size()) == LZMA_OK);
  packed.resize(size);
  return packed;
}

Bytes lzma(const Bytes& plain) {
  lzma_options_lzma options = {};
  require(lzma_lzma_preset(&options, 6) == 0);
  lzma_stream stream = LZMA_STREAM_INIT;
  require(lzma_alone_encoder(&stream, &options) == LZMA_OK);
  Bytes packed(room_for(plain));
  stream.next_in = reinterpret_cast<const std::uint8_t*>(plain.data());
  stream.avail_in = plain.size();
  stream.next_out = reinterpret_cast<std::uint8_t*>(packed.data());
  stream.avail_out = packed.size();
  require(lzma_code(&stream, LZMA_FINISH) == LZMA_STREAM_END);
  packed.resize(stream.total_out);
  lzma_end(&stream);
  return packed;
}

Bytes bzip2(Bytes plain) {
  Bytes packed(room_for(plain));
  unsigned size = static_cast<unsigned>(packed.size());
  require(BZ2_bzBuffToBuffCompress(reinterpret_cast<char*>(packed.data()), &size,
                                   reinterpret_cast<char*>(plain.data()),
                                   static_cast<unsigned>(plain.size()), 9, 0, 0) == BZ_OK);
  packed.resize(size);
  return packed;
}

Bytes lz4(const Bytes& plain) {
  constexpr std::size_t block_bytes = 8u << 20;
  Bytes packed(4);
  put(packed, 0, 0x184c2102, 4);
  for (std::size_t at = 0; at < plain.size(); at += block_bytes) {
    const auto block = std::span(plain).subspan(at, std::min(block_bytes, plain.size() - at));
    Bytes out(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(block.size()))));
    const int size = LZ4_compress_default(
        reinterpret_cast<const char*>(block.data()), reinterpret_cast<char*>(out.data()),
        static_cast<int>(block.size()), static_cast<int>(out.size()));
    require(size > 0);
    packed.resize(packed.size() + 4);
    put(packed, packed.size() - 4, static_cast<std::uint64_t>(size), 4);
    packed.insert(packed.end(), out.begin(), out.begin() + size);
  }
  return packed;
}

Bytes zstd(const Bytes& plain) {
  Bytes packed(ZSTD_compressBound(plain.size()));
  ZSTD_CCtx* context = ZSTD_createCCtx();
  // Kernels are packed from a pipe: the frame does not know its content's size.
  require(ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)) == 0);
  const std::size_t size =
      ZSTD_compress2(context, packed.data(), packed.size(), plain.data(), plain.size());
  require(ZSTD_isError(size) == 0);
  ZSTD_freeCCtx(context);
  packed.resize(size);
  return packed;
}

Bytes compress(const Bytes& plain, Compression compression) {
  switch (compression) {
  case Compression::gzip:
    return gzip(plain);
  case Compression::xz:
    return xz(plain);
  case Compression::lzma:
    return lzma(plain);
  case Compression::bzip2:
    return bzip2(plain);
  case Compression::lz4:
    return lz4(plain);
  case Compression::zstd:
    return zstd(plain);
  case Compression::none:
    break;
  }
  return plain;
}

} // namespace

Bytes payload_of(const Bytes& plain, Compression compression) {
  Bytes payload = compress(plain, compression);
  if (compression != Compression::gzip) {
    payload.resize(payload.size() + 4);
    put(payload, payload.size() - 4, plain.size(), 4);
  }
  return payload;
}

} // namespace ashlar::inspector::test
