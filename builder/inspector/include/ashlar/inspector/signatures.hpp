// SPDX-License-Identifier: LGPL-2.1-or-later
// What the broker asks of ashlar-verifier, and what that tells it. The verifier has parsed a
// guest's bytes: what it says is read as anybody's.
//
// Process contract of ashlar-verifier (no arguments, empty environment; one process per image):
//   fd 3  the sealed image, read-only use
//   fd 4  the sealed, encoded anchors: certificates that the policy names, and what it revokes
//   fd 5  write end of a pipe: exactly one encoded SignatureReport, then end of file
// Exit status 0 after a report was written, whatever it says. Anything else means that nobody has
// signed the image.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/signature/authenticode.hpp"
#include "ashlar/signature/trust.hpp"

namespace ashlar::inspector {

/// All certificates and all revoked fingerprints that a policy may have.
inline constexpr std::size_t max_anchors_bytes = 1u << 20;
[[nodiscard]] std::vector<std::byte> encode(const signature::Anchors& anchors);
/// Errors: invalid, limit.
[[nodiscard]] Result<signature::Anchors> decode_anchors(std::span<const std::byte> bytes);

/// An Error (no PE image, or one that breaks the format) or what was found.
struct SignatureReport {
  Result<signature::ImageSignatures> outcome;
};

inline constexpr std::size_t max_signature_report_bytes = 16u << 10; // fits into a pipe
[[nodiscard]] std::vector<std::byte> encode(const SignatureReport& report);
/// `anchors` is how many certificates were asked about: a report about another number is refused.
/// Errors: invalid. Safe on hostile input.
[[nodiscard]] Result<SignatureReport> decode_signature_report(std::span<const std::byte> bytes,
                                                              std::size_t anchors);

} // namespace ashlar::inspector
