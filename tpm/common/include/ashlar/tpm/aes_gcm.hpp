// SPDX-License-Identifier: LGPL-2.1-or-later
// AES-256-GCM by OpenSSL's EVP.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::tpm {

using AesKey = std::array<std::byte, 32>;
inline constexpr std::size_t gcm_nonce_bytes = 12;
inline constexpr std::size_t gcm_tag_bytes = 16;

/// A random nonce, the ciphertext, the tag. `bound` is authenticated with it and not in it. With
/// random nonces a key is good for 2^32 messages. Errors: internal (OpenSSL).
[[nodiscard]] Result<std::vector<std::byte>>
encrypt(const AesKey& key, std::span<const std::byte> bound, std::span<const std::byte> plain);
/// Nothing: these are not bytes that encrypt() gave for this key and `bound`. Errors: internal.
[[nodiscard]] Result<std::optional<std::vector<std::byte>>>
decrypt(const AesKey& key, std::span<const std::byte> bound, std::span<const std::byte> sealed);

} // namespace ashlar::tpm
