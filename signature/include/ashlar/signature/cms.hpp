// SPDX-License-Identifier: LGPL-2.1-or-later
// CMS SignedData messages (RFC 5652), as `openssl cms -sign` and `ashlar policy sign` make them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/signature/trust.hpp"

namespace ashlar::signature {

/// The DER bytes of a PEM text that holds one CMS message ("-----BEGIN CMS-----", or PKCS7).
/// Errors: invalid, limit.
[[nodiscard]] Result<std::vector<std::byte>> message_from_pem(std::string_view pem,
                                                              const std::string& what);

/// The content of a message that carries it, once a signer with a certificate that one of `anchors`
/// trusts is found and every signature in the message is right. Errors: invalid (not such a
/// message), limit, unsupported (no signed attributes, or a hash other than SHA-256, -384, -512),
/// integrity (a signature is wrong), denied (right, but by nobody trusted).
[[nodiscard]] Result<std::string> signed_content(std::span<const std::byte> message,
                                                 const Anchors& anchors, const std::string& what);

/// The SHA-256 of the bytes that a detached message signs, as its trusted signer states it: whoever
/// compares it with the digest of bytes at hand has verified the signature over them. Errors: as
/// above; unsupported also for another hash than SHA-256, invalid when the content is inside.
[[nodiscard]] Result<measure::Sha256>
signed_digest(std::span<const std::byte> message, const Anchors& anchors, const std::string& what);

/// Who has made a detached signature, and what the anchors say of them.
struct DetachedSignature {
  std::string subject; // of the signer's certificate
  std::string issuer;
  measure::Sha256 fingerprint{};
  measure::Sha256 public_key{}; // Certificate::public_key()
  std::vector<Trust> trust;     // of each anchor
};

/// Verifies a detached message over the bytes that have this SHA-256, whoever has signed them: a
/// signer whom no anchor trusts is no error. Anybody controls `message`. Errors: as above, but
/// denied only for a signer whose certificate is not at hand; integrity also for other bytes.
[[nodiscard]] Result<DetachedSignature> check_detached(std::span<const std::byte> message,
                                                       const measure::Sha256& sha256,
                                                       const Anchors& anchors,
                                                       const std::string& what);

/// What counts for a request: that an anchor trusts the signer. Errors: denied.
[[nodiscard]] Status require_trusted(const DetachedSignature& signature, const std::string& what);

} // namespace ashlar::signature
