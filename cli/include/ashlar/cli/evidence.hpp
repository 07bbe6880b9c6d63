// SPDX-License-Identifier: LGPL-2.1-or-later
// What `ashlar verify` and `ashlar explain` read from files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/evidence/compare.hpp"
#include "ashlar/evidence/verify.hpp"

namespace ashlar::cli {

/// Reads a reference directory (docs/attestation.md): host-ak.pem and signers.pem must be there,
/// host.pcrs may, and every *.manifest with the .cms beside it. No signature is checked here.
/// Errors: not_found, denied, io, limit, invalid, naming the file.
[[nodiscard]] Result<evidence::Trust> read_reference_directory(const std::string& directory);

/// Reads one side of `ashlar explain` from a file's bytes, whatever it is: a prediction, a record
/// (JSON or encoded), a reference manifest, a bundle (its record), a TCG or canonical event log, or
/// PCR values. Errors: invalid.
[[nodiscard]] Result<evidence::Side> side_of(std::string_view bytes, const std::string& file);

/// The files that a side knows by their digests: "kernel vmlinuz of FILE".
[[nodiscard]] std::vector<evidence::KnownFile> known_files(const evidence::Side& side,
                                                           const std::string& file);

} // namespace ashlar::cli
