// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "ashlar/inspector/inspect.hpp"
#include "kernel_image.hpp"

namespace ashlar::inspector::test {

/// Unpacks into a vector of exactly the announced size, so that AddressSanitizer sees a byte too
/// many.
class MemorySink : public PlainSink {
public:
  [[nodiscard]] Result<std::span<std::byte>> reserve(std::uint64_t bytes) override {
    if (bytes > limit)
      return failure(ErrorCode::limit, "reserving memory in a test", "more than the test allows");
    plain.resize(bytes);
    return std::span(plain);
  }
  Bytes plain;
  std::uint64_t limit = 1u << 20;
};

} // namespace ashlar::inspector::test
