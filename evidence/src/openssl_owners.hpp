// SPDX-License-Identifier: LGPL-2.1-or-later
// Owners of OpenSSL's handles.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include <memory>

namespace ashlar::evidence {

template <auto release>
struct Releaser {
  template <typename T>
  void operator()(T* handle) const {
    release(handle);
  }
};

inline void free_certificates(STACK_OF(X509) * certificates) {
  sk_X509_pop_free(certificates, X509_free);
}

inline void free_bytes(void* bytes) {
  OPENSSL_free(bytes);
}

using Bio = std::unique_ptr<BIO, Releaser<BIO_free_all>>;
using BigNumber = std::unique_ptr<BIGNUM, Releaser<BN_free>>;
using Certificate = std::unique_ptr<X509, Releaser<X509_free>>;
using Certificates = std::unique_ptr<STACK_OF(X509), Releaser<free_certificates>>;
using CmsMessage = std::unique_ptr<CMS_ContentInfo, Releaser<CMS_ContentInfo_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Releaser<EVP_MD_CTX_free>>;
using EcSignature = std::unique_ptr<ECDSA_SIG, Releaser<ECDSA_SIG_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Releaser<EVP_PKEY_CTX_free>>;
using ParameterBuilder = std::unique_ptr<OSSL_PARAM_BLD, Releaser<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Releaser<OSSL_PARAM_free>>;

} // namespace ashlar::evidence
