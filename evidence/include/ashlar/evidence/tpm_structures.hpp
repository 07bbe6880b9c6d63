// SPDX-License-Identifier: LGPL-2.1-or-later
// What a TPM 2.0 hands out (TCG TPM 2.0 Library, Part 2 "Structures"), big-endian, read strictly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/evidence/key.hpp"

namespace ashlar::evidence {

/// TPM_ALG_ID of a hash (the TCG's algorithm registry).
enum class HashAlgorithm : std::uint16_t {
  sha1 = 0x4,
  sha256 = 0xB,
  sha384 = 0xC,
  sha512 = 0xD,
};

/// One TPMS_PCR_SELECTION.
struct PcrSelection {
  std::uint16_t hash = 0; // TPM_ALG_ID
  std::set<std::uint32_t> pcrs;
  bool operator==(const PcrSelection&) const = default;
};

/// A TPMS_ATTEST of the type TPM_ST_ATTEST_QUOTE.
struct QuoteMessage {
  std::vector<std::byte> extra_data;
  std::uint64_t clock_ms = 0;
  std::uint32_t reset_count = 0;
  std::uint32_t restart_count = 0;
  std::uint64_t firmware_version = 0;
  std::vector<PcrSelection> selections; // those of no PCR are left out
  std::vector<std::byte> pcr_digest;
};

/// Errors: invalid (also for a TPMS_ATTEST that is no quote, or was not made by a TPM: its magic).
[[nodiscard]] Result<QuoteMessage> read_quote(std::span<const std::byte> bytes,
                                              const std::string& what);

enum class SignatureScheme : std::uint16_t { rsassa = 0x14, rsapss = 0x16, ecdsa = 0x18 };

/// A TPMT_SIGNATURE.
struct TpmSignature {
  SignatureScheme scheme = SignatureScheme::rsassa;
  HashAlgorithm hash = HashAlgorithm::sha256; // SHA-256 or SHA-384
  std::vector<std::byte> first;               // RSA: the signature; ECDSA: r
  std::vector<std::byte> second;              // ECDSA: s
};

/// Errors: invalid, unsupported (another scheme or hash).
[[nodiscard]] Result<TpmSignature> read_signature(std::span<const std::byte> bytes,
                                                  const std::string& what);

/// A TPM2B_PUBLIC of an RSA or ECC key.
struct TpmPublic {
  std::uint32_t attributes = 0;  // TPMA_OBJECT
  std::vector<std::byte> policy; // the authorization policy's digest; empty: none
  Key key;
};

/// Errors: invalid, unsupported (another type, curve or size).
[[nodiscard]] Result<TpmPublic> read_public(std::span<const std::byte> bytes,
                                            const std::string& what);

/// The Name of a TPM2B_PUBLIC (TPM 2.0 Library part 1, "Names"): by it tpm2_makecredential is told
/// for which key a secret is. Errors: invalid, unsupported (the hash is not SHA-256).
[[nodiscard]] Result<std::vector<std::byte>> name_of(std::span<const std::byte> bytes,
                                                     const std::string& what);

/// Is this a restricted signing key that cannot leave its TPM? Such a key signs nothing that
/// begins like a TPMS_ATTEST but what the TPM itself says. Errors: denied, naming the attribute.
[[nodiscard]] Status require_attestation_key(const TpmPublic& key, const std::string& what);

/// Errors: integrity (the key did not sign this message), invalid (scheme and key do not fit).
[[nodiscard]] Status verify_signature(const Key& key, const TpmSignature& signature,
                                      std::span<const std::byte> message, const std::string& what);

} // namespace ashlar::evidence
