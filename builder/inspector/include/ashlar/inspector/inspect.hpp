// SPDX-License-Identifier: LGPL-2.1-or-later
// The inspector's engine: reads a kernel image that nobody has vouched for beyond its digest. It is
// meant to run inside the sandbox (sandbox.hpp), and is written as if the sandbox were not there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ashlar/base/result.hpp"
#include "ashlar/inspector/report.hpp"

namespace ashlar::inspector {

/// Where a compressed kernel is unpacked to.
class PlainSink {
public:
  virtual ~PlainSink() = default;
  /// Called once for a compressed kernel, never for a plain one. Gives exactly `bytes` bytes (1 to
  /// max_plain_bytes) of zeroed memory that stays valid until inspect() has returned; what is in it
  /// afterwards is the plain kernel if inspect() succeeded, and worthless otherwise.
  [[nodiscard]] virtual Result<std::span<std::byte>> reserve(std::uint64_t bytes) = 0;
};

/// Checks a kernel image (a plain x86-64 ELF, or a Linux bzImage whose payload is one) and unpacks
/// it into `sink` if it is compressed. The requester controls every byte of `image`. Stricter than
/// libxenguest, which loads the result: what is accepted has one reading only. Errors, each naming
/// item, check and limit: invalid (breaks its format), limit (limits.hpp), unsupported (another
/// machine, class or compression; no Xen notes), integrity (the unpacked size is not the announced
/// one), and whatever `sink` returns.
[[nodiscard]] Result<Description> inspect(std::span<const std::byte> image, PlainSink& sink);

} // namespace ashlar::inspector
