// SPDX-License-Identifier: LGPL-2.1-or-later
// The two containers of LZMA: .xz (with the x86 filter that kernels use) and the older .lzma.
#include <array>
#include <memory>

#include <fmt/format.h>
#include <lzma.h>

#include "ashlar/inspector/limits.hpp"
#include "decompress.hpp"

namespace ashlar::inspector {

namespace {

struct LzmaEnd {
  void operator()(lzma_stream* stream) const { lzma_end(stream); }
};

const std::uint8_t* octets(std::span<const std::byte> bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

std::unexpected<Error> decoder_failure(Compression compression, lzma_ret status) {
  switch (status) {
  case LZMA_MEMLIMIT_ERROR:
    return failure(
        ErrorCode::limit,
        fmt::format("unpacking the {} payload of the bzImage", to_string(compression)),
        fmt::format("it needs a dictionary above the limit of {} bytes; build the kernel "
                    "with a smaller one",
                    max_decoder_bytes));
  case LZMA_OPTIONS_ERROR:
  case LZMA_UNSUPPORTED_CHECK:
    return failure(ErrorCode::unsupported,
                   fmt::format("unpacking the {} payload of the bzImage", to_string(compression)),
                   "it uses a filter or an integrity check that this decoder does not have");
  case LZMA_MEM_ERROR:
    return failure(ErrorCode::io, "starting the LZMA decoder", "there is no memory for it");
  default:
    return broken_stream(compression, "the data is broken or cut off");
  }
}

} // namespace

Result<Decoded> decode_xz(std::span<const std::byte> in, std::span<std::byte> out) {
  std::uint64_t memory_limit = max_decoder_bytes;
  std::size_t consumed = 0;
  std::size_t produced = 0;
  const lzma_ret status = lzma_stream_buffer_decode(
      &memory_limit, LZMA_TELL_UNSUPPORTED_CHECK, nullptr, octets(in), &consumed, in.size(),
      reinterpret_cast<std::uint8_t*>(out.data()), &produced, out.size());
  if (status == LZMA_OK)
    return Decoded{consumed, produced};
  if (status == LZMA_BUF_ERROR)
    return larger_than_announced(Compression::xz, out.size());
  return decoder_failure(Compression::xz, status);
}

Result<Decoded> decode_lzma(std::span<const std::byte> in, std::span<std::byte> out) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (const lzma_ret status = lzma_alone_decoder(&stream, max_decoder_bytes); status != LZMA_OK)
    return decoder_failure(Compression::lzma, status);
  const std::unique_ptr<lzma_stream, LzmaEnd> owner(&stream);
  stream.next_in = octets(in);
  stream.avail_in = in.size();
  stream.next_out = reinterpret_cast<std::uint8_t*>(out.data());
  stream.avail_out = out.size();
  lzma_ret status = lzma_code(&stream, LZMA_FINISH);
  if (status == LZMA_OK && stream.avail_out == 0) {
    // The end marker may still be to come: it decodes to nothing, anything else to a byte too many.
    std::array<std::uint8_t, 1> excess = {};
    stream.next_out = excess.data();
    stream.avail_out = excess.size();
    status = lzma_code(&stream, LZMA_FINISH);
    if (stream.avail_out == 0)
      return larger_than_announced(Compression::lzma, out.size());
  }
  if (status != LZMA_STREAM_END)
    return decoder_failure(Compression::lzma, status);
  return Decoded{stream.total_in, stream.total_out};
}

} // namespace ashlar::inspector
