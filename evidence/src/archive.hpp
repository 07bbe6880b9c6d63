// SPDX-License-Identifier: LGPL-2.1-or-later
// POSIX ustar, and of it only what a bundle needs.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::evidence {

struct ArchiveMember {
  std::string name;
  std::span<const std::byte> bytes; // within the archive's own
};

/// The members of an archive (POSIX.1-2017, pax, "ustar Interchange Format") of at most
/// max_bundle_bytes: regular files with a name of at most 100 bytes and no prefix. Anything else is
/// refused, and so is anything but zeros behind the end. Whoever wrote the archive controls all of
/// it. Errors: invalid, limit.
[[nodiscard]] Result<std::vector<ArchiveMember>> read_archive(std::span<const std::byte> bytes);

} // namespace ashlar::evidence
