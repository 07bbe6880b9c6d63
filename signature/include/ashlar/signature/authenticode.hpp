// SPDX-License-Identifier: LGPL-2.1-or-later
// Signatures inside PE images: UEFI Secure Boot's, which Linux distributions put into their
// bzImages and unified kernel images. Source: "Windows Authenticode Portable Executable Signature
// Format" (Microsoft, 2008) and the PE format's attribute certificate table.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/signature/trust.hpp"

namespace ashlar::signature {

/// One signature of an image.
struct FoundSignature {
  bool valid = false;  // made by that certificate's key over this very image
  std::string why;     // not valid: why not
  std::string subject; // of the signer's certificate; empty when it could not be read
  std::string issuer;
  measure::Sha256 fingerprint{}; // of the signer's certificate
  measure::Sha256 public_key{};  // Certificate::public_key() of it
};

struct ImageSignatures {
  measure::Sha256 digest{}; // the Authenticode digest with SHA-256
  bool unified = false;     // a unified kernel image: it has a section ".linux"
  std::vector<FoundSignature> found;
  std::vector<Trust> trust; // of each anchor, by the best of all valid signatures
};

/// Looks at all signatures of a PE image. Stricter than the format: every byte must be covered but
/// the checksum, the table's place and the table itself, so that nothing unsigned can be loaded.
/// Anybody controls `image`. Errors: unsupported (no PE image), invalid, limit; a signature that is
/// wrong is no error but a finding.
[[nodiscard]] Result<ImageSignatures> check_image(std::span<const std::byte> image,
                                                  const Anchors& anchors);

} // namespace ashlar::signature
