// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/vtpm/engine.hpp"

namespace ashlar::vtpm {

/// The TPM2B_PUBLIC of a key in this TPM by which it says what it itself found, and nothing else: a
/// restricted signing key that was made in this TPM and cannot leave it (fixedTPM, fixedParent,
/// sensitiveDataOrigin). Its private part is here: the TPM quotes by it. A public key alone can be
/// loaded with any attributes (TPM2_LoadExternal). Errors: denied (no such handle, another sort of
/// key, or it has a password), internal.
[[nodiscard]] Result<std::vector<std::byte>> attestation_key(Engine& engine, std::uint32_t handle);

} // namespace ashlar::vtpm
