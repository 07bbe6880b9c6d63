// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <span>
#include <string_view>

#include "ashlar/attest/tpm_commands.hpp"

namespace ashlar::attest {

/// A POSIX ustar archive (IEEE Std 1003.1, "pax": "ustar Interchange Format") of regular files in
/// memory. The same files give the same bytes: owner root, mode 0644, dated 1970.
class Archive {
public:
  /// `name` has at most 99 bytes.
  void add(std::string_view name, std::span<const std::byte> content);
  /// Ends it; the object must not be used again.
  [[nodiscard]] Bytes finish();

private:
  Bytes bytes_;
};

} // namespace ashlar::attest
