// SPDX-License-Identifier: LGPL-2.1-or-later
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "ashlar/evidence/tpm_structures.hpp"
#include "openssl_owners.hpp"

namespace ashlar::evidence {

namespace {

using Bytes = std::vector<std::byte>;

const unsigned char* data_of(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

// OpenSSL takes ECDSA's two numbers as DER.
Bytes der_of(const TpmSignature& signature) {
  const EcSignature numbers(ECDSA_SIG_new());
  BigNumber r(
      BN_bin2bn(data_of(signature.first), static_cast<int>(signature.first.size()), nullptr));
  BigNumber s(
      BN_bin2bn(data_of(signature.second), static_cast<int>(signature.second.size()), nullptr));
  if (!numbers || !r || !s || ECDSA_SIG_set0(numbers.get(), r.get(), s.get()) != 1)
    return {};
  (void)r.release(); // the signature owns both now
  (void)s.release();
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(numbers.get(), &der);
  if (size <= 0)
    return {};
  const auto bytes = std::as_bytes(std::span(der, static_cast<std::size_t>(size)));
  Bytes copy(bytes.begin(), bytes.end());
  OPENSSL_free(der);
  return copy;
}

bool set_padding(EVP_PKEY_CTX* context, SignatureScheme scheme) {
  if (scheme == SignatureScheme::ecdsa)
    return true;
  if (scheme == SignatureScheme::rsassa)
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  // TPMs differ in the salt's length (Part 1, Annex B.7): its length is read from the signature.
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_AUTO) == 1;
}

} // namespace

Status verify_signature(const Key& key, const TpmSignature& signature,
                        std::span<const std::byte> message, const std::string& what) {
  const std::string doing = "checking the signature of " + what;
  const bool elliptic = signature.scheme == SignatureScheme::ecdsa;
  if (EVP_PKEY_is_a(key.get(), elliptic ? "EC" : "RSA") != 1)
    return failure(ErrorCode::invalid, doing, "the key is of another kind than the signature");
  const EVP_MD* const hash = signature.hash == HashAlgorithm::sha384 ? EVP_sha384() : EVP_sha256();
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr; // owned by the context
  if (!context || EVP_DigestVerifyInit(context.get(), &parameters, hash, nullptr, key.get()) != 1 ||
      !set_padding(parameters, signature.scheme))
    return failure(ErrorCode::internal, doing, "OpenSSL refused the key");
  const Bytes bytes = elliptic ? der_of(signature) : signature.first;
  const int verified = EVP_DigestVerify(context.get(), data_of(bytes), bytes.size(),
                                        data_of(message), message.size());
  ERR_clear_error();
  if (verified != 1)
    return failure(ErrorCode::integrity, doing, "this key did not sign it");
  return {};
}

} // namespace ashlar::evidence
