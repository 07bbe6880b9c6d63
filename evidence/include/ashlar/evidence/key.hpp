// SPDX-License-Identifier: LGPL-2.1-or-later
// Public keys, as OpenSSL holds them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"

extern "C" {
struct evp_pkey_st; // OpenSSL's EVP_PKEY
}

namespace ashlar::evidence {

struct FreeKey {
  void operator()(evp_pkey_st* key) const;
};
using Key = std::unique_ptr<evp_pkey_st, FreeKey>;

[[nodiscard]] bool same_key(const Key& one, const Key& other);

/// "RSA 2048", "EC 256", with the SHA-256 of the SubjectPublicKeyInfo: how people tell keys apart.
[[nodiscard]] std::string describe(const Key& key);

/// The public keys of a PEM text ("BEGIN PUBLIC KEY" blocks, as `tpm2_readpublic -f pem` writes
/// them); text between the blocks is passed over. Errors: invalid (none, or one that cannot be
/// read), limit.
[[nodiscard]] Result<std::vector<Key>> read_keys(std::string_view pem, const std::string& what);

} // namespace ashlar::evidence
