// SPDX-License-Identifier: LGPL-2.1-or-later
// Evidence by the hardware TPM for one guest: docs/tpm-manager.md says how a verifier checks it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/digest.hpp"

namespace ashlar::tpm {

inline constexpr std::size_t quote_nonce_bytes = 32;

/// A TPM2_Quote, each part as tpm2-tools keep it in a file (TPM 2.0 Library part 2, big-endian).
struct Quote {
  std::vector<std::byte> attest;                 // TPMS_ATTEST: what was signed
  std::vector<std::byte> signature;              // TPMT_SIGNATURE
  std::vector<std::byte> public_key;             // TPM2B_PUBLIC of the attestation key
  std::map<std::uint32_t, measure::Sha256> pcrs; // the values that it covers, by PCR
};

/// Where the attestation key's trust comes from.
struct Endorsement {
  std::vector<std::byte> public_key;  // TPM2B_PUBLIC of the endorsement key
  std::vector<std::byte> certificate; // DER, by the TPM's maker; empty: the TPM has none
};

/// Signs the PCRs of the machine: 0 to 7 and the host PCR, in the SHA-256 bank.
class Quoter {
public:
  virtual ~Quoter() = default;
  /// `qualifying` is in what is signed, as TPMS_ATTEST.extraData. Errors: io, integrity (the values
  /// that the TPM tells are not those that it signed).
  [[nodiscard]] virtual Result<Quote> quote(const measure::Sha256& qualifying) = 0;
  /// TPM2B_PUBLIC of the attestation key, which lives as long as this object.
  [[nodiscard]] virtual std::span<const std::byte> attestation_key() const = 0;
  /// What those PCRs hold now, unsigned. Errors: io, integrity (the TPM answers for others).
  [[nodiscard]] virtual Result<std::map<std::uint32_t, measure::Sha256>> pcrs() = 0;
  /// The endorsement key, made when it is first asked for. Errors: io.
  [[nodiscard]] virtual Result<Endorsement> endorsement() = 0;
  /// TPM2_ActivateCredential: the secret that somebody made for this attestation key under the
  /// endorsement key, as TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET. Errors: invalid (these are
  /// none), denied (they were made for another key), io.
  [[nodiscard]] virtual Result<std::vector<std::byte>>
  activate(std::span<const std::byte> credential, std::span<const std::byte> secret) = 0;
};

/// What is bound by a quote that a guest hands to a verifier.
struct GuestQuoteFacts {
  std::span<const std::byte> nonce;
  measure::Sha256 record{}; // of the guest's encoded record
  measure::Sha256 key{};    // of the TPM2B_PUBLIC of the vTPM's attestation key
  measure::Sha256 log{};    // of the host log: 32 bytes an event
};
/// SHA-256("ashlar-guest-quote-2" NUL || nonce || record || key || log). Errors: internal
/// (OpenSSL).
[[nodiscard]] Result<measure::Sha256> guest_quote_qualifier(const GuestQuoteFacts& facts);

/// What a guest's quote is qualified with: SHA-256("ashlar-guest-quote-1" NUL || nonce ||
/// SHA-256(record)), the record encoded. So a quote speaks of this guest, to this asker, now.
/// Errors: internal (OpenSSL).
[[nodiscard]] Result<measure::Sha256> quote_qualifier(std::span<const std::byte> nonce,
                                                      const measure::Digests& record);

/// Body of the answer to get_tpm2_quote: each part after its u16 length, big-endian. Errors: limit
/// (it does not fit a packet).
[[nodiscard]] Result<std::vector<std::byte>> encode(const Quote& quote);

} // namespace ashlar::tpm
