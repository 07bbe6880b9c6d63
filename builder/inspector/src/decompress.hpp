// SPDX-License-Identifier: LGPL-2.1-or-later
// Unpacking, straight into memory of the announced size: no decoder can write past it, whatever the
// stream says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ashlar/base/result.hpp"
#include "payload.hpp"

namespace ashlar::inspector {

/// How far a decoder came when its stream ended in good order.
struct Decoded {
  std::uint64_t consumed = 0; // bytes of the stream
  std::uint64_t produced = 0; // bytes of output
};

/// Unpacks the payload into `out`, which is payload.plain_bytes long. The stream must end with the
/// payload and fill `out`, to the byte.
/// Errors: invalid (broken or cut off stream, bytes after it), integrity (it unpacks to another
/// size than announced), limit (it needs a dictionary above max_decoder_bytes).
[[nodiscard]] Status decompress(const Payload& payload, std::span<std::byte> out);

// One decoder each. They check the format's own checksums, and stop at the end of one stream; a
// stream that unpacks to more than `out` holds is an integrity error.
[[nodiscard]] Result<Decoded> decode_gzip(std::span<const std::byte> in, std::span<std::byte> out);
[[nodiscard]] Result<Decoded> decode_xz(std::span<const std::byte> in, std::span<std::byte> out);
[[nodiscard]] Result<Decoded> decode_lzma(std::span<const std::byte> in, std::span<std::byte> out);
[[nodiscard]] Result<Decoded> decode_bzip2(std::span<const std::byte> in, std::span<std::byte> out);
[[nodiscard]] Result<Decoded> decode_lz4(std::span<const std::byte> in, std::span<std::byte> out);
[[nodiscard]] Result<Decoded> decode_zstd(std::span<const std::byte> in, std::span<std::byte> out);

/// The errors that all decoders share. `stream` is the format's name, `why` what its library said.
[[nodiscard]] std::unexpected<Error> broken_stream(Compression stream, std::string_view why);
[[nodiscard]] std::unexpected<Error> larger_than_announced(Compression stream,
                                                           std::size_t announced);

} // namespace ashlar::inspector
