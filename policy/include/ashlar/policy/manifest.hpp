// SPDX-License-Identifier: LGPL-2.1-or-later
// The list of images that a release consists of, as whoever makes the release writes and signs it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/digest.hpp"

namespace ashlar::policy {

inline constexpr std::size_t max_manifest_images = 4096;

struct ReleaseManifest {
  std::string release; // the name of the [[release]] that it is for
  std::uint64_t sequence = 0;
  std::vector<measure::Sha256> kernels;
  std::vector<measure::Sha256> initrds;
};

/// Reads the TOML text of a manifest: `release`, `sequence` and one or more [[image]] with `kind`,
/// `sha256` and an optional `label` for people. Errors: invalid, limit; the text has the line, in
/// the file `name`.
[[nodiscard]] Result<ReleaseManifest> read_manifest_text(std::string_view text,
                                                         const std::string& name = "manifest");

} // namespace ashlar::policy
