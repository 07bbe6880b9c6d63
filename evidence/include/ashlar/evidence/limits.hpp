// SPDX-License-Identifier: LGPL-2.1-or-later
// Everything here is read from somebody who may lie: how much of it is read at all.
#pragma once

#include <cstddef>

namespace ashlar::evidence {

inline constexpr std::size_t max_file_bytes = 64UL * 1024;         // a file of a bundle
inline constexpr std::size_t max_host_log_bytes = 1024UL * 1024;   // but host.log: 32,768 events
inline constexpr std::size_t max_bundle_bytes = 2UL * 1024 * 1024; // the whole archive
inline constexpr std::size_t max_tpm_field_bytes = 1024;           // a TPM2B within a TPM structure
inline constexpr std::size_t max_pcr_selections = 16;              // banks in one quote
inline constexpr std::size_t max_log_bytes = 1024UL * 1024;        // a TCG or canonical event log
inline constexpr std::size_t max_log_events = 4096;
inline constexpr std::size_t max_log_algorithms = 16;
inline constexpr std::size_t max_guess_events = 64; // of one PCR, in which a change is guessed at
inline constexpr std::size_t max_reference_bytes = 64UL * 1024; // a reference manifest
inline constexpr std::size_t max_references = 1024;             // in one directory
inline constexpr std::size_t max_signature_bytes = 64UL * 1024; // its CMS
inline constexpr std::size_t max_pem_bytes = 1024UL * 1024;     // host-ak.pem, signers.pem
inline constexpr std::size_t max_trusted_keys = 4096;
inline constexpr int max_endorsement_chain = 8; // certificates above the EK's
inline constexpr unsigned max_rsa_bits = 4096;
inline constexpr unsigned min_rsa_bits = 2048;
inline constexpr unsigned max_pcr = 23;
inline constexpr unsigned firmware_pcrs = 8; // 0 to 7

} // namespace ashlar::evidence
