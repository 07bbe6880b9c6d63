// SPDX-License-Identifier: LGPL-2.1-or-later
// Owners of OpenSSL's handles, for the libraries that read certificates and signatures.
#pragma once

#include <memory>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

namespace ashlar::crypto {

template <auto release>
struct Releaser {
  template <typename T>
  void operator()(T* handle) const {
    static_cast<void>(release(handle));
  }
};

/// Frees the stack and gives back the references that it holds.
inline void free_certificates(STACK_OF(X509) * certificates) {
  sk_X509_pop_free(certificates, X509_free);
}

/// Frees the stack alone: what is in it belongs to somebody else.
inline void free_stack(STACK_OF(X509) * certificates) {
  sk_X509_free(certificates);
}

inline void free_bytes(void* bytes) {
  OPENSSL_free(bytes);
}

using Bio = std::unique_ptr<BIO, Releaser<BIO_free_all>>; // with all that it is chained to
using BigNumber = std::unique_ptr<BIGNUM, Releaser<BN_free>>;
using BorrowedCertificates = std::unique_ptr<STACK_OF(X509), Releaser<free_stack>>;
using Certificates = std::unique_ptr<STACK_OF(X509), Releaser<free_certificates>>;
using CmsMessage = std::unique_ptr<CMS_ContentInfo, Releaser<CMS_ContentInfo_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Releaser<EVP_MD_CTX_free>>;
using DigestInfo = std::unique_ptr<X509_SIG, Releaser<X509_SIG_free>>;
using EcSignature = std::unique_ptr<ECDSA_SIG, Releaser<ECDSA_SIG_free>>;
using Key = std::unique_ptr<EVP_PKEY, Releaser<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Releaser<EVP_PKEY_CTX_free>>;
using ParameterBuilder = std::unique_ptr<OSSL_PARAM_BLD, Releaser<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Releaser<OSSL_PARAM_free>>;
using Pkcs7 = std::unique_ptr<PKCS7, Releaser<PKCS7_free>>;
using Store = std::unique_ptr<X509_STORE, Releaser<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Releaser<X509_STORE_CTX_free>>;
using X509Certificate = std::unique_ptr<X509, Releaser<X509_free>>;

} // namespace ashlar::crypto
