// SPDX-License-Identifier: LGPL-2.1-or-later
// Detached CMS signatures, as `openssl cms -sign -binary -outform DER` writes them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "ashlar/base/result.hpp"

namespace ashlar::evidence {

/// Checks that `cms` (DER) is a detached signature over `content` by one of the certificates of
/// `signers_pem`. Those certificates are what is trusted: neither their issuer nor their dates are
/// looked at, and certificates within the CMS are not used. Every signature in it must hold, and
/// be over SHA-256, SHA-384 or SHA-512. Gives the subject of a certificate that signed. Errors:
/// invalid (not such a CMS, no certificates), integrity (the signature does not hold), denied (it
/// was signed by somebody else).
[[nodiscard]] Result<std::string> verify_signed(std::span<const std::byte> content,
                                                std::span<const std::byte> cms,
                                                std::string_view signers_pem,
                                                const std::string& what);

} // namespace ashlar::evidence
