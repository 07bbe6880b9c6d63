// SPDX-License-Identifier: LGPL-2.1-or-later
// Every limit on certificates and signatures, whoever brings them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ashlar::signature {

/// What keys and hashes must be worth (NIST SP 800-57): RSA from 2048 bits, SHA-256.
inline constexpr int min_security_bits = 112;

inline constexpr std::size_t max_certificate_bytes = 8u << 10;       // one, in DER
inline constexpr std::size_t max_certificates = 64;                  // named by one policy
inline constexpr std::size_t max_revoked_certificates = 1024;        // in one policy
inline constexpr std::size_t max_revoked_keys = 1024;                // in one policy
inline constexpr std::size_t max_message_bytes = 256u << 10;         // one CMS message, in DER
inline constexpr std::size_t max_request_signature_bytes = 6u << 10; // one, as a request brings it
inline constexpr std::size_t max_request_signatures = 9;     // of a kernel and eight initrds
inline constexpr std::size_t max_signers = 8;                // of one CMS message
inline constexpr std::size_t max_embedded_certificates = 32; // in one signature
inline constexpr int max_chain_certificates = 8;             // from a signer to a named one
inline constexpr std::uint32_t max_certificate_table_bytes = 1u << 20; // of a PE image
inline constexpr std::size_t max_image_signatures = 8;                 // in one PE image
inline constexpr std::uint16_t max_sections = 96;                      // of a PE image
inline constexpr std::size_t max_name_bytes = 256;                     // a subject, as shown

} // namespace ashlar::signature
