// SPDX-License-Identifier: LGPL-2.1-or-later
#include "decompress.hpp"

#include <string>

#include <fmt/format.h>

namespace ashlar::inspector {

namespace {

std::string unpacking(Compression stream) {
  return fmt::format("unpacking the {} payload of the bzImage", to_string(stream));
}

Result<Decoded> decode(const Payload& payload, std::span<std::byte> out) {
  switch (payload.compression) {
  case Compression::gzip:
    return decode_gzip(payload.stream, out);
  case Compression::xz:
    return decode_xz(payload.stream, out);
  case Compression::lzma:
    return decode_lzma(payload.stream, out);
  case Compression::bzip2:
    return decode_bzip2(payload.stream, out);
  case Compression::lz4:
    return decode_lz4(payload.stream, out);
  case Compression::zstd:
    return decode_zstd(payload.stream, out);
  case Compression::none:
    break;
  }
  return failure(ErrorCode::internal, "unpacking the payload of the bzImage",
                 "it is not compressed");
}

} // namespace

std::unexpected<Error> broken_stream(Compression stream, std::string_view why) {
  return failure(ErrorCode::invalid, unpacking(stream), std::string(why));
}

std::unexpected<Error> larger_than_announced(Compression stream, std::size_t announced) {
  return failure(ErrorCode::integrity, unpacking(stream),
                 fmt::format("it unpacks to more than the {} bytes it announces", announced));
}

Status decompress(const Payload& payload, std::span<std::byte> out) {
  const Decoded decoded = TRY(decode(payload, out));
  if (decoded.consumed != payload.stream.size())
    return broken_stream(payload.compression,
                         fmt::format("{} bytes follow the end of the compressed stream",
                                     payload.stream.size() - decoded.consumed));
  if (decoded.produced != out.size())
    return failure(
        ErrorCode::integrity, unpacking(payload.compression),
        fmt::format("it unpacks to {} bytes, but announces {}", decoded.produced, out.size()));
  return {};
}

} // namespace ashlar::inspector
