// SPDX-License-Identifier: LGPL-2.1-or-later
// The TPM's endorsement key and its certificate.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/evidence/key.hpp"
#include "ashlar/evidence/tpm_structures.hpp"

namespace ashlar::evidence {

/// Is this a key by the TCG's templates (EK Credential Profile, "Low Range": attributes and
/// authorization policy)? Only such a key decrypts a credential for nobody but its own TPM. Errors:
/// denied.
[[nodiscard]] Status require_endorsement_key(const TpmPublic& key);

/// Is this certificate (DER) one of `key`? Without `authorities` (PEM certificates) its issuer is
/// told and not judged. With them it must be valid now, be for an endorsement key if it says for
/// what it is (extended key usage), and lead to one of them. Each of these is trusted by itself,
/// an intermediate one too. Revocation lists are not looked at. Errors: invalid, integrity (another
/// key's, or a signature does not hold), denied (nobody of them issued it, it has expired, …).
[[nodiscard]] Result<std::string> check_certificate(std::span<const std::byte> der, const Key& key,
                                                    const std::optional<std::string>& authorities);

} // namespace ashlar::evidence
