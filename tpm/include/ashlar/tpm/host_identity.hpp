// SPDX-License-Identifier: LGPL-2.1-or-later
// What a machine's owner enrols it by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "ashlar/measure/digest.hpp"

namespace ashlar::tpm {

/// The public keys of the hardware TPM, as tpm2-tools keep them in files (TPM 2.0 Library part 2,
/// big-endian), and what it measured. Nothing of it is signed: whoever enrols a machine has the TPM
/// activate a credential (docs/attestation.md).
struct HostIdentity {
  std::vector<std::byte> attestation_key;         // TPM2B_PUBLIC
  std::vector<std::byte> endorsement_key;         // TPM2B_PUBLIC
  std::vector<std::byte> endorsement_certificate; // DER; empty: the TPM has none
  std::map<std::uint32_t, measure::Sha256> pcrs;  // 0 to 7 and the host PCR, SHA-256 bank
  bool operator==(const HostIdentity&) const = default;
};

} // namespace ashlar::tpm
