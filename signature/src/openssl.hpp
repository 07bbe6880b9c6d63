// SPDX-License-Identifier: LGPL-2.1-or-later
// What this library uses of OpenSSL.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "ashlar/base/result.hpp"
#include "ashlar/crypto/owners.hpp"

namespace ashlar::signature {

using crypto::Bio;
using crypto::BorrowedCertificates;
using crypto::Certificates;
using crypto::DigestContext;
using crypto::DigestInfo;
using crypto::Key;
using crypto::Pkcs7;
using crypto::Store;
using crypto::StoreContext;
using Cms = crypto::CmsMessage;

/// A BIO that reads `bytes`, which must outlive it.
[[nodiscard]] inline Bio reading(std::span<const std::byte> bytes) {
  return Bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

[[nodiscard]] inline const unsigned char* raw(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

/// What OpenSSL says of its last error; its queue is empty afterwards.
[[nodiscard]] inline std::string last_reason() {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  std::string text = reason == nullptr ? "OpenSSL gives no reason" : reason;
  ERR_clear_error();
  return text;
}

/// Hashes that a signature may be made with.
[[nodiscard]] inline bool strong_hash(int nid) {
  return nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512;
}

} // namespace ashlar::signature
