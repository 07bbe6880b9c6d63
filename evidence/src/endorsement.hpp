// SPDX-License-Identifier: LGPL-2.1-or-later
// The certificate of a TPM's endorsement key.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/evidence/key.hpp"

namespace ashlar::evidence {

/// Is this certificate (DER) one of `key`? Who issued it is the concern of enrolment, which tied
/// the attestation key to this endorsement key. Gives its issuer, for people. Errors: invalid,
/// integrity.
[[nodiscard]] Result<std::string> check_certificate(std::span<const std::byte> der, const Key& key);

} // namespace ashlar::evidence
