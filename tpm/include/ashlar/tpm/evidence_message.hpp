// SPDX-License-Identifier: LGPL-2.1-or-later
// Bodies of the messages by which a vTPM gets its guest's evidence from the TPM Manager, for the
// ordinals 0x41530003 to 0x41530006 of vtpm_message.hpp. Big-endian; docs/vtpm.md has the layouts.
// All that is read here comes from another domain.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::tpm {

using EvidenceDigest = std::array<std::byte, 32>; // SHA-256

/// The answer to get_host_log: which records were extended into the host PCR, from event `first`
/// on. Body: u32 events in the log, u32 first, then 32 bytes for each event of this part.
struct HostLogPart {
  std::uint32_t total = 0;
  std::uint32_t first = 0;
  std::vector<EvidenceDigest> events;
};
inline constexpr std::size_t host_log_part_header_bytes = 8;
inline constexpr std::size_t host_log_event_bytes = 32;

/// What a vTPM asks get_guest_quote. Body: 32 bytes nonce, 32 bytes SHA-256 of the attestation
/// key's TPM2B_PUBLIC, u32 events of the host log that the vTPM has.
struct GuestQuoteRequest {
  std::array<std::byte, 32> nonce{};
  EvidenceDigest key{};
  std::uint32_t events = 0;
};
inline constexpr std::size_t guest_quote_request_bytes = 68;

/// Several byte strings in one body, each after its u16 length.
using EvidenceParts = std::vector<std::vector<std::byte>>;
/// In the answer to get_guest_quote: TPMS_ATTEST, TPMT_SIGNATURE, TPM2B_PUBLIC of the attestation
/// key, and the quoted PCRs: for each u8 number and 32 bytes value, by rising number.
inline constexpr std::size_t guest_quote_parts = 4;
inline constexpr std::size_t quoted_pcr_bytes = 33;
/// In the answer to get_host_keys: TPM2B_PUBLIC of the endorsement key, and its certificate (DER),
/// which may be empty.
inline constexpr std::size_t host_keys_parts = 2;
/// In what activate_credential asks: TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET. Its answer has
/// one part: the secret.
inline constexpr std::size_t credential_parts = 2;
inline constexpr std::size_t max_credential_part_bytes = 1024;
inline constexpr std::size_t max_credential_secret_bytes = 64;

[[nodiscard]] std::vector<std::byte> encode(const HostLogPart& part);
[[nodiscard]] std::vector<std::byte> encode(const GuestQuoteRequest& request);
/// Errors: limit (it does not fit a packet).
[[nodiscard]] Result<std::vector<std::byte>> encode(const EvidenceParts& parts);
/// Errors of all three: invalid.
[[nodiscard]] Result<HostLogPart> decode_host_log_part(std::span<const std::byte> body);
[[nodiscard]] Result<GuestQuoteRequest> decode_guest_quote_request(std::span<const std::byte> body);
[[nodiscard]] Result<EvidenceParts> decode_evidence_parts(std::span<const std::byte> body,
                                                          std::size_t count);

} // namespace ashlar::tpm
