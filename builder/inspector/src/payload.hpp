// SPDX-License-Identifier: LGPL-2.1-or-later
// The payload of a bzImage: one compressed stream, and the size of what it unpacks to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ashlar/base/result.hpp"
#include "ashlar/inspector/report.hpp"
#include "file_range.hpp"

namespace ashlar::inspector {

struct Payload {
  Compression compression = Compression::none;
  std::span<const std::byte> stream; // the compressed stream alone
  std::uint64_t plain_bytes = 0;     // announced, 1 to max_plain_bytes; true only once unpacked
};

/// Splits a payload. Its magic number names the compression; its last four bytes are the unpacked
/// size, u32 little-endian: for gzip they belong to the stream (RFC 1952, ISIZE), for all others
/// the kernel's build appends them (Linux: scripts/Makefile.lib, size_append). Errors: unsupported
/// (no known magic number), invalid (too short, size 0), limit (max_plain_bytes).
[[nodiscard]] Result<Payload> split_payload(const FileRange& payload);

} // namespace ashlar::inspector
