// SPDX-License-Identifier: LGPL-2.1-or-later
// All banks of one image at once, on as many cores as that is worth, while the image still comes
// in.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/digest.hpp"

namespace ashlar::measure {

/// Hashes a range of memory that is filled from its front, behind the one who fills it.
///
/// Two threads at most share the work: whichever is free takes the next piece of the bank that is
/// furthest behind, so that both stay busy although the banks' costs differ. The range must stay
/// mapped as long as this object lives; the bytes that were said to be available must not change.
class ParallelDigest {
public:
  /// Errors: internal (OpenSSL offers an algorithm not), limit (no thread could be started).
  [[nodiscard]] static Result<ParallelDigest> begin(std::span<const std::byte> bytes);
  ParallelDigest(ParallelDigest&&) noexcept;
  ParallelDigest& operator=(ParallelDigest&&) noexcept;
  /// Gives up what is not hashed yet.
  ~ParallelDigest();

  /// The first `count` bytes of the range are there from now on; `count` never falls.
  /// Waits while the hashing is more than a few MiB behind.
  void available(std::size_t count);

  /// Waits for the digests of the bytes that are available, and ends; the object must not be used
  /// again. Errors: internal (OpenSSL refused).
  [[nodiscard]] Result<Digests> finish();

private:
  class Work;
  explicit ParallelDigest(std::unique_ptr<Work> work);
  std::unique_ptr<Work> work_;
};

} // namespace ashlar::measure
