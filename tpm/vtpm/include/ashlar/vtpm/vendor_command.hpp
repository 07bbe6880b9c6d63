// SPDX-License-Identifier: LGPL-2.1-or-later
// The one command that a guest's TPM 2.0 has beside the TCG's: by it the guest gets its event log
// and its evidence, over /dev/tpm0. Shared by the vTPM and ashlar-attest; docs/vtpm.md has the
// layouts. Numbers are big-endian, as in every TPM command.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ashlar::vtpm {

/// TPM_CC: bit 29 says that it is the vendor's (TPM 2.0 Library part 2, "TPM_CC"). The command is
/// TPM_ST_NO_SESSIONS, u32 size, this code, u8 version, u8 operation, arguments.
inline constexpr std::uint32_t vendor_command_code = 0x2000a501;
inline constexpr std::uint8_t vendor_command_version = 1;

enum class VendorOperation : std::uint8_t {
  prepare_log = 1,      // in: nothing. out: u32 size of the document to read
  prepare_evidence = 2, // in: 32 bytes nonce, u32 handle of the attestation key. out: the same
  read = 3,             // in: u32 offset. out: bytes of the prepared document from there on
  activate = 4,         // in: u16 length, TPM2B_ID_OBJECT, u16 length, TPM2B_ENCRYPTED_SECRET.
                        // out: u16 length, the secret
};

/// Response codes of a vendor: bit 10 of format zero (part 2, "Response Codes").
enum class VendorResponse : std::uint32_t {
  success = 0,
  malformed = 0x501,    // no such version or operation, or arguments of the wrong size
  too_often = 0x502,    // evidence_burst and evidence_pause
  unfit_key = 0x503,    // not a restricted signing key that this TPM made, or it has a password
  no_evidence = 0x504,  // the TPM Manager refuses, or the hardware TPM fails
  not_prepared = 0x505, // read: nothing was prepared, or it ends before the offset
};

// A document: u8 version, u8 profile (0 uapi, 1 grub, 2 pv-grub), then items, each after its u32
// length. That of prepare_log ends with the event log.
inline constexpr std::uint8_t document_version = 1;
inline constexpr std::size_t document_header_bytes = 2;
enum class DocumentItem : std::uint8_t {
  record,           // measure::encode()
  event_log,        // measure::event_log()
  host_log,         // 32 bytes an event
  host_attest,      // TPMS_ATTEST
  host_signature,   // TPMT_SIGNATURE
  host_key,         // TPM2B_PUBLIC
  host_pcrs,        // u8 number and 32 bytes for each
  host_ek,          // TPM2B_PUBLIC
  host_certificate, // DER; empty where there is none
};
inline constexpr std::size_t log_document_items = 2;
inline constexpr std::size_t evidence_document_items = 9;

/// What the guest gets at once: with the header it fits a tpmif packet and the kernel's buffer.
inline constexpr std::size_t max_document_part_bytes = 4000;
/// The host log alone may have 1 MiB.
inline constexpr std::size_t max_document_bytes = (1u << 20) + (256u << 10);

// How often a guest may ask for what needs the hardware TPM.
inline constexpr std::uint32_t evidence_burst = 4;
inline constexpr std::chrono::seconds evidence_pause{15};

} // namespace ashlar::vtpm
