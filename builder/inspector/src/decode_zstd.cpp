// SPDX-License-Identifier: LGPL-2.1-or-later
#include <memory>

#include <zstd.h>
#include <zstd_errors.h>

#include "decompress.hpp"

namespace ashlar::inspector {

namespace {

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

} // namespace

Result<Decoded> decode_zstd(std::span<const std::byte> in, std::span<std::byte> out) {
  // One frame only: ZSTD_decompressDCtx would go on with whatever frame comes next.
  const std::size_t frame = ZSTD_findFrameCompressedSize(in.data(), in.size());
  if (ZSTD_isError(frame) != 0)
    return broken_stream(Compression::zstd, ZSTD_getErrorName(frame));
  const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  if (context == nullptr)
    return failure(ErrorCode::io, "starting the zstd decoder", "there is no memory for it");
  // All at once: `out` itself is the window, so that no window size can cost memory (kernels are
  // packed with windows of up to 128 MiB).
  const std::size_t produced =
      ZSTD_decompressDCtx(context.get(), out.data(), out.size(), in.data(), frame);
  if (ZSTD_isError(produced) == 0)
    return Decoded{frame, produced};
  if (ZSTD_getErrorCode(produced) == ZSTD_error_dstSize_tooSmall)
    return larger_than_announced(Compression::zstd, out.size());
  return broken_stream(Compression::zstd, ZSTD_getErrorName(produced));
}

} // namespace ashlar::inspector
