// SPDX-License-Identifier: LGPL-2.1-or-later
// What a vTPM gets from the TPM Manager for its guest's evidence.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/vtpm/guest_measurement.hpp"

namespace ashlar::vtpm {

/// Each as the manager hands it out: evidence_message.hpp says what it is.
struct HostEvidence {
  std::vector<std::byte> log; // 32 bytes an event; what the quote covers
  std::vector<std::byte> attest;
  std::vector<std::byte> signature;
  std::vector<std::byte> key;
  std::vector<std::byte> pcrs;
  std::vector<std::byte> ek;
  std::vector<std::byte> certificate; // may be empty
};

/// The host log and a quote over it for this nonce and the SHA-256 of the guest's attestation key.
/// When the log grew in between, the rest is fetched and the quote asked for again, at most
/// max_quote_attempts times. Errors: busy (the manager says: too often, or the log grew each time),
/// denied (it refuses), io (its TPM fails), invalid (its answers make no sense), and those of
/// `exchange`.
[[nodiscard]] Result<HostEvidence> fetch_host_evidence(const Exchange& exchange,
                                                       std::span<const std::byte> nonce,
                                                       std::span<const std::byte> key_digest);
inline constexpr int max_quote_attempts = 8;

/// Has the hardware TPM activate a credential; `parts` is the body as activate_credential takes it,
/// from the guest. Gives the body of the answer. Errors: as above.
[[nodiscard]] Result<std::vector<std::byte>> activate_credential(const Exchange& exchange,
                                                                 std::span<const std::byte> parts);

} // namespace ashlar::vtpm
