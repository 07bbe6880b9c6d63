// SPDX-License-Identifier: LGPL-2.1-or-later
// What a guest gets from its vTPM by the vendor command (ashlar/vtpm/vendor_command.hpp).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ashlar/attest/tpm_commands.hpp"
#include "ashlar/vtpm/vendor_command.hpp"

namespace ashlar::attest {

/// A document of the vTPM, read whole.
struct Document {
  std::uint8_t profile = 0;
  std::vector<Bytes> items; // by vtpm::DocumentItem
  [[nodiscard]] const Bytes& of(vtpm::DocumentItem item) const {
    return items[static_cast<std::size_t>(item)];
  }
};

/// The guest's record and event log. Errors: unsupported (this TPM is no vTPM of Ashlar), busy (the
/// vTPM says: too often), denied, invalid, and those of `exchange`.
[[nodiscard]] Result<Document> fetch_log(const Exchange& exchange);
/// All of the vTPM's part of the evidence, for a nonce of 32 bytes. Errors: as above.
[[nodiscard]] Result<Document> fetch_evidence(const Exchange& exchange,
                                              std::span<const std::byte> nonce,
                                              const AttestationKey& key);
/// Has the host's TPM activate a credential, a file as tpm2_makecredential writes it; gives the
/// secret. Errors: invalid (it is no such file), and as above.
[[nodiscard]] Result<Bytes> activate(const Exchange& exchange,
                                     std::span<const std::byte> credential_file);
inline constexpr std::size_t max_credential_file_bytes = 2064;

/// The bundle for a verifier, as docs/attestation.md has it: makes the key, has all parties quote,
/// and unloads the key. Errors: unsupported (the guest's profile has no SHA-256 PCRs), and as
/// above.
[[nodiscard]] Result<Bytes> make_bundle(const Exchange& exchange, std::span<const std::byte> nonce);
inline constexpr std::size_t nonce_bytes = 32;

} // namespace ashlar::attest
