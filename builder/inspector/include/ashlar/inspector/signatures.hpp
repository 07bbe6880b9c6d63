// SPDX-License-Identifier: LGPL-2.1-or-later
// What the broker asks of ashlar-verifier, and what that tells it. The verifier has parsed a
// guest's bytes: what it says is read as anybody's.
//
// Process contract of ashlar-verifier (no arguments, empty environment; one process per image):
//   fd 3  the sealed image, read-only use
//   fd 4  the sealed, encoded SignatureQuestion
//   fd 5  write end of a pipe: exactly one encoded SignatureReport, then end of file
// Exit status 0 after a report was written, whatever it says. Anything else means that nobody has
// signed anything.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/signature/authenticode.hpp"
#include "ashlar/signature/cms.hpp"
#include "ashlar/signature/trust.hpp"

namespace ashlar::inspector {

/// A signature that a requester brought, and the digest of the bytes that it is to be over: these
/// themselves are not needed.
struct BroughtSignature {
  measure::Sha256 sha256{};
  std::vector<std::byte> message; // CMS in DER, at most signature::max_request_signature_bytes
};

struct SignatureQuestion {
  signature::Anchors anchors;            // certificates that the policy names, and what it revokes
  bool look_inside = true;               // the image; else it is not read, and may be empty
  std::vector<BroughtSignature> brought; // at most signature::max_request_signatures
};

/// All certificates and all revoked fingerprints that a policy may have, and the signatures.
inline constexpr std::size_t max_question_bytes = 1u << 20;
[[nodiscard]] std::vector<std::byte> encode(const SignatureQuestion& question);
/// Errors: invalid, limit.
[[nodiscard]] Result<SignatureQuestion> decode_question(std::span<const std::byte> bytes);

struct SignatureReport {
  /// An Error (no PE image, one that breaks the format, or nobody asked) or what was found.
  Result<signature::ImageSignatures> inside;
  /// As many as were brought, in their order.
  std::vector<Result<signature::DetachedSignature>> brought;
};

inline constexpr std::size_t max_signature_report_bytes = 48u << 10; // fits into a pipe
[[nodiscard]] std::vector<std::byte> encode(const SignatureReport& report);
/// A report about another number of certificates or signatures than those asked about is refused.
/// Errors: invalid. Safe on hostile input.
[[nodiscard]] Result<SignatureReport>
decode_signature_report(std::span<const std::byte> bytes, std::size_t anchors, std::size_t brought);

} // namespace ashlar::inspector
