// SPDX-License-Identifier: LGPL-2.1-or-later
// Where a PE image's signatures are and what they cover. Source: "PE Format" (Microsoft); nothing
// of the file is read but its headers and the attribute certificate table.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::signature {

struct PeFile {
  /// What the Authenticode digest is taken over, in this order: the whole file but the checksum,
  /// the place of the certificate table, and that table.
  std::vector<std::span<const std::byte>> covered;
  /// The contents of the table's PKCS #7 entries.
  std::vector<std::span<const std::byte>> signatures;
  /// It has a section ".linux", as unified kernel images have (the UAPI group's specification).
  bool unified = false;
};

/// Errors: unsupported (not PE), invalid (breaks the format, or has bytes that no section and no
/// signature covers), limit.
[[nodiscard]] Result<PeFile> read_pe(std::span<const std::byte> file);

} // namespace ashlar::signature
