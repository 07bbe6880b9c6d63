// SPDX-License-Identifier: LGPL-2.1-or-later
// The evidence that a guest hands out, as docs/attestation.md lays it out.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/evidence/pcr_list.hpp"
#include "ashlar/measure/pcr_profile.hpp"

namespace ashlar::evidence {

using Bytes = std::vector<std::byte>;

/// One TPM's statement, not yet looked into.
struct QuoteFiles {
  Bytes message;   // TPMS_ATTEST
  Bytes signature; // TPMT_SIGNATURE
  Bytes key;       // TPM2B_PUBLIC
  PcrList pcrs;
};

/// A bundle's files. That it was read says only that it is one: none of it is true yet.
struct Bundle {
  measure::Sha256 nonce{};
  measure::Profile profile = measure::Profile::uapi;
  Bytes record;
  Bytes host_log;
  QuoteFiles host;
  Bytes endorsement_key;         // TPM2B_PUBLIC
  Bytes endorsement_certificate; // DER; empty: the TPM has none
  QuoteFiles guest;
  Bytes guest_log;
};

/// Reads a bundle; the guest, and whoever is between it and us, control every byte. Errors:
/// invalid, limit, naming the file.
[[nodiscard]] Result<Bundle> read_bundle(std::span<const std::byte> bytes);

} // namespace ashlar::evidence
