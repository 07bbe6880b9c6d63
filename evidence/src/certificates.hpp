// SPDX-License-Identifier: LGPL-2.1-or-later
// Lists of certificates that the verifier trusts.
#pragma once

#include <string>
#include <string_view>

#include "ashlar/base/result.hpp"
#include "openssl_owners.hpp"

namespace ashlar::evidence {

/// The certificates of a PEM text; `file` is its name for people. Text between them is passed over.
/// Errors: invalid (none, or one that cannot be read), limit.
[[nodiscard]] Result<Certificates> read_certificates(std::string_view pem, const std::string& doing,
                                                     const std::string& file);

/// A distinguished name as RFC 2253 writes it. It is its issuer's text: not printable by itself.
[[nodiscard]] std::string text_of(const X509_NAME* name);

} // namespace ashlar::evidence
