// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ashlar/base/result.hpp"

namespace ashlar {

/// A read-only memory mapping of a whole file or memfd, unmapped when it goes out of scope.
class Mapping {
public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  /// Maps all bytes of `fd` read-only (an empty file gives an empty mapping). `what` names the file
  /// in errors. The mapping is MAP_PRIVATE|PROT_READ: it stays valid after `fd` is closed. Errors:
  /// io. Bytes of an unsealed file can still change under the mapping: seal first.
  [[nodiscard]] static Result<Mapping> of(int fd, const std::string& what);

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

private:
  explicit Mapping(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

} // namespace ashlar
