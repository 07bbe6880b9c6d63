// SPDX-License-Identifier: LGPL-2.1-or-later
// Owners for OpenSSL's objects.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

#include "ashlar/base/result.hpp"

namespace ashlar::signature {

template <auto Free>
struct Freed {
  template <typename Object>
  void operator()(Object* object) const {
    static_cast<void>(Free(object));
  }
};

using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;
using BioChain = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Cms = std::unique_ptr<CMS_ContentInfo, Freed<CMS_ContentInfo_free>>;
using Pkcs7 = std::unique_ptr<PKCS7, Freed<PKCS7_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Store = std::unique_ptr<X509_STORE, Freed<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Freed<X509_STORE_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using DigestInfo = std::unique_ptr<X509_SIG, Freed<X509_SIG_free>>;

/// Frees the stack and gives back the references that it holds.
struct FreeCertificates {
  void operator()(STACK_OF(X509) * certificates) const {
    sk_X509_pop_free(certificates, X509_free);
  }
};
using Certificates = std::unique_ptr<STACK_OF(X509), FreeCertificates>;
/// Frees the stack alone: what is in it belongs to somebody else.
struct FreeStack {
  void operator()(STACK_OF(X509) * certificates) const { sk_X509_free(certificates); }
};
using BorrowedCertificates = std::unique_ptr<STACK_OF(X509), FreeStack>;

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
