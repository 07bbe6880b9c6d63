// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "ashlar/measure/digest.hpp"
#include "ashlar/signature/certificate.hpp"

struct stack_st_X509; // OpenSSL's STACK_OF(X509)

namespace ashlar::signature {

/// What a named certificate says about a signer.
enum class Trust : std::uint8_t {
  none = 0,    // it has nothing to do with the signer
  trusted = 1, // it is the signer's certificate, or it has issued that, directly or not
  revoked = 2, // it would be `trusted`, but a certificate or a key on the way is revoked
  unfit = 3,   // it would be `trusted`, but wants signers for code, and this is none
  weak = 4,    // it would be `trusted`, but a key or a hash on the way is worth too little
};
inline constexpr std::uint8_t last_trust = 4;
[[nodiscard]] const char* to_string(Trust trust);

/// The certificates that a policy names, and what it takes back.
struct Anchors {
  std::vector<Certificate> certificates;
  std::vector<measure::Sha256> revoked; // fingerprints; a revoked one counts wherever it stands
  std::vector<measure::Sha256> revoked_keys = {}; // Certificate::public_key(), likewise
  /// Fingerprints of those among `certificates` that vouch only for a signer whose own certificate
  /// is marked for signing code.
  std::vector<measure::Sha256> code_only = {};
};

/// Does a chain lead from `signer` to `anchor`, over the certificates in `others` (may be null)?
/// Each signature on the way is checked, issuers must be CAs, and keys and hashes must be worth 112
/// bits (RSA 2048, SHA-256). What is not checked, on purpose: dates (a machine that boots has no
/// clock to trust, as UEFI says too) and, but for `code_only`, key usage (kernels are signed with
/// all kinds).
[[nodiscard]] Trust trust(x509_st* signer, stack_st_X509* others, const Certificate& anchor,
                          const Anchors& anchors);

/// trust() for each anchor, in their order.
[[nodiscard]] std::vector<Trust> trust(x509_st* signer, stack_st_X509* others,
                                       const Anchors& anchors);

} // namespace ashlar::signature
