// SPDX-License-Identifier: LGPL-2.1-or-later
// The guest that a reference manifest describes.
#pragma once

#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/cli/guest.hpp"

namespace ashlar::cli {

/// Does a file begin as `ashlar measure --manifest` writes it? A file that cannot be read does not.
[[nodiscard]] bool holds_manifest(const std::string& path);

/// The guest of a reference manifest (docs/attestation.md, "References"): its settings and command
/// line, and its images as "sha256:DIGEST". Whoever signed it is not asked. Errors: as
/// read_reference; invalid and unsupported (a configuration that this program does not know).
[[nodiscard]] Result<Guest> read_manifest_guest(const std::string& path);

} // namespace ashlar::cli
