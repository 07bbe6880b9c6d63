// SPDX-License-Identifier: LGPL-2.1-or-later
// What a vTPM and the TPM Manager say to each other over tpmif: the stock vTPM Manager's format
// (xen/stubdom/vtpmmgr/vtpm_manager.h) and our own ordinals. A 10-byte header, big-endian: u16 tag,
// u32 size of the whole message, u32 ordinal (request) or status (response). docs/vtpm.md has the
// layout of each body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::tpm {

inline constexpr std::uint16_t vtpm_request_tag = 0x01c1;
inline constexpr std::uint16_t vtpm_response_tag = 0x01c4;
inline constexpr std::size_t vtpm_header_bytes = 10;
/// The body of a message that fits a tpmif packet.
inline constexpr std::size_t max_vtpm_body_bytes = 4088 - vtpm_header_bytes;

/// Of a refusal's reason.
inline constexpr std::size_t max_vtpm_reason_bytes = 400;

enum class VtpmOrdinal : std::uint32_t {
  save_hash_key = 1, // in: 52 or 64 bytes, opaque to the manager. out: nothing
  load_hash_key = 2, // in: nothing. out: what was saved last for this guest's UUID
  get_boot_hash = 3, // in: nothing. out: 20 bytes, SHA-1 of the guest's kernel file
  get_quote = 4,     // stock, for TPM 1.2 hardware: answered with bad_ordinal
  // Ours.
  get_measurement = 0x41530001, // in: u32 offset. out: MeasurementPart
  get_tpm2_quote = 0x41530002,  // in: 32 bytes nonce. out: see docs/vtpm.md
  // Evidence for the guest: bodies in evidence_message.hpp.
  get_host_log = 0x41530003,       // in: u32 first event. out: HostLogPart
  get_guest_quote = 0x41530004,    // in: GuestQuoteRequest. out: guest_quote_parts
  get_host_keys = 0x41530005,      // in: nothing. out: host_keys_parts
  activate_credential = 0x41530006 // in: credential_parts. out: one part, the secret
};

/// Status words, with the numbers that TPM 1.2 has for them (TPM Main part 2, "Return Codes").
enum class VtpmStatus : std::uint32_t {
  success = 0,
  denied = 1,        // TPM_AUTHFAIL: not a vTPM of ours, not bound, revoked
  bad_parameter = 3, // TPM_BAD_PARAMETER: the body's length or content
  failed = 9,        // TPM_FAIL: the hardware TPM, or the store of keys
  bad_ordinal = 10,  // TPM_BAD_ORDINAL
  no_key = 37,       // TPM_NOTSEALED_BLOB: nothing was ever saved for this guest (load_hash_key)
  log_grew = 0x800,  // TPM_RETRY: the host log has other events than were asked for: fetch the rest
  too_often = 0x803, // TPM_DEFEND_LOCK_RUNNING: the hardware TPM was used too often, or the store
                     // of keys takes too long: ask later
};

/// The answer to get_measurement: where the guest's record (measure::encode) goes on from `offset`.
/// A record of the builder's limits (8 initrds) fits two of them.
/// Body, big-endian: u8 version = 1; u8 TPM version (1: 1.2, 2: 2.0); u8 profile (0 uapi, 1 grub,
/// 2 pv-grub); u8 0; u32 total size of the record; u32 offset; the bytes.
struct MeasurementPart {
  std::uint8_t tpm_version = 0;
  std::uint8_t profile = 0;
  std::uint32_t total = 0;
  std::uint32_t offset = 0;
  std::vector<std::byte> bytes;
};
inline constexpr std::uint8_t measurement_part_version = 1;
inline constexpr std::size_t measurement_part_header_bytes = 12;

struct VtpmRequest {
  VtpmOrdinal ordinal{};
  std::vector<std::byte> body;
};
struct VtpmResponse {
  VtpmStatus status = VtpmStatus::failed;
  // Of a refusal: nothing, or the reason for people, at most max_vtpm_reason_bytes.
  std::vector<std::byte> body;
};

[[nodiscard]] std::vector<std::byte> encode(const VtpmRequest& request);
[[nodiscard]] std::vector<std::byte> encode(const VtpmResponse& response);
[[nodiscard]] std::vector<std::byte> encode(const MeasurementPart& part);
/// Read a whole message: the size in the header must be that of `bytes`. Safe on hostile input.
/// Errors: invalid. An ordinal or status that has no name is passed on as its number.
[[nodiscard]] Result<VtpmRequest> decode_vtpm_request(std::span<const std::byte> bytes);
[[nodiscard]] Result<VtpmResponse> decode_vtpm_response(std::span<const std::byte> bytes);
[[nodiscard]] Result<MeasurementPart> decode_measurement_part(std::span<const std::byte> body);

} // namespace ashlar::tpm
