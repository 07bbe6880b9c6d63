// SPDX-License-Identifier: LGPL-2.1-or-later
#include "endorsement.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <memory>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/limits.hpp"
#include "ashlar/evidence/verify.hpp"
#include "certificates.hpp"

namespace ashlar::evidence {

namespace {

using Store = std::unique_ptr<X509_STORE, Releaser<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Releaser<X509_STORE_CTX_free>>;
using Usages = std::unique_ptr<EXTENDED_KEY_USAGE, Releaser<EXTENDED_KEY_USAGE_free>>;

constexpr const char* doing_read = "reading host.ek.crt";
constexpr const char* doing_judge = "looking for the issuer of host.ek.crt";
constexpr const char* authorities_file = "ek-ca.pem";
constexpr int security_level = 2;                            // 112 bits
constexpr const char* endorsement_usage = "2.23.133.8.1";    // tcg-kp-EKCertificate
constexpr const char* any_usage = "2.5.29.37.0";             // anyExtendedKeyUsage
constexpr std::uint32_t endorsement_attributes = 0x000300B2; // TPMA_OBJECT

/// TPM2_PolicySecret(TPM_RH_ENDORSEMENT): PolicyA of the profile.
constexpr std::array<std::uint8_t, 32> endorsement_policy = {
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};

Result<Certificate> read_certificate(std::span<const std::byte> der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* const end = at + der.size();
  Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!certificate || at != end)
    return failure(ErrorCode::invalid, doing_read, "it is no certificate in DER");
  return certificate;
}

Status require_key(const X509* certificate, const Key& key) {
  EVP_PKEY* const certified = X509_get0_pubkey(certificate); // the certificate's own
  ERR_clear_error();
  if (certified == nullptr)
    return failure(ErrorCode::unsupported, doing_read, "its key is of a kind not known here");
  if (EVP_PKEY_eq(certified, key.get()) != 1)
    return failure(ErrorCode::integrity, doing_read,
                   "it is the certificate of another key than host.ek.pub");
  return {};
}

std::string number_of(const ASN1_OBJECT* object) {
  std::array<char, 64> text{};
  const int size = OBJ_obj2txt(text.data(), text.size(), object, 1);
  return size > 0 ? std::string(text.data()) : std::string();
}

// A certificate that says for what it is must say that it is for this.
Status require_usage(const X509* certificate) {
  const Usages usages(static_cast<EXTENDED_KEY_USAGE*>(
      X509_get_ext_d2i(certificate, NID_ext_key_usage, nullptr, nullptr)));
  ERR_clear_error();
  if (!usages)
    return {};
  for (int i = 0; i < sk_ASN1_OBJECT_num(usages.get()); ++i)
    if (const std::string usage = number_of(sk_ASN1_OBJECT_value(usages.get(), i));
        usage == endorsement_usage || usage == any_usage)
      return {};
  return failure(
      ErrorCode::denied, doing_judge,
      fmt::format("it is for other uses than an endorsement key ({})", endorsement_usage));
}

std::unexpected<Error> refusal_of(const X509_STORE_CTX* context) {
  const int error = X509_STORE_CTX_get_error(context);
  const char* const whose = X509_STORE_CTX_get_error_depth(context) == 0
                                ? "it"
                                : "a certificate of ek-ca.pem that it needs";
  switch (error) {
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    return failure(ErrorCode::denied, doing_judge,
                   "nobody in ek-ca.pem issued it: the TPM is another maker's or none at all, or "
                   "the maker's intermediate certificate is missing there");
  case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    return failure(ErrorCode::integrity, doing_judge,
                   "its signature is not by the one whom it names as its issuer: it is forged");
  case X509_V_ERR_CERT_HAS_EXPIRED:
    return failure(ErrorCode::denied, doing_judge, fmt::format("{} has expired", whose));
  case X509_V_ERR_CERT_NOT_YET_VALID:
    return failure(ErrorCode::denied, doing_judge,
                   fmt::format("{} is not valid yet: is this machine's clock right?", whose));
  default:
    return failure(ErrorCode::denied, doing_judge,
                   fmt::format("{}: {}", whose, X509_verify_cert_error_string(error)));
  }
}

// Gives the subject of the authority at which the chain ends.
Result<std::string> find_issuer(X509* certificate, const std::string& authorities) {
  const Certificates trusted = TRY(read_certificates(authorities, doing_judge, authorities_file));
  const Store store(X509_STORE_new());
  const StoreContext context(X509_STORE_CTX_new());
  bool made = store && context;
  for (int i = 0; made && i < sk_X509_num(trusted.get()); ++i)
    made = X509_STORE_add_cert(store.get(), sk_X509_value(trusted.get(), i)) == 1;
  if (!made || X509_STORE_CTX_init(context.get(), store.get(), certificate, nullptr) != 1) {
    ERR_clear_error();
    return failure(ErrorCode::internal, doing_judge, "OpenSSL refuses the certificates");
  }
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_depth(parameters, max_endorsement_chain);
  X509_VERIFY_PARAM_set_auth_level(parameters, security_level);
  const bool valid = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (!valid)
    return refusal_of(context.get());
  const STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(context.get());
  return printable(text_of(X509_get_subject_name(sk_X509_value(chain, sk_X509_num(chain) - 1))));
}

} // namespace

Status require_endorsement_key(const TpmPublic& key) {
  const std::string doing = "looking at host.ek.pub";
  if (key.attributes != endorsement_attributes)
    return failure(ErrorCode::denied, doing,
                   fmt::format("its attributes are {:#x}, not those of the TCG's template ({:#x}): "
                               "it is no endorsement key",
                               key.attributes, endorsement_attributes));
  if (!std::ranges::equal(key.policy, std::as_bytes(std::span(endorsement_policy))))
    return failure(ErrorCode::denied, doing,
                   "its policy is not that of the TCG's template: it is no endorsement key");
  return {};
}

Result<std::string> check_certificate(std::span<const std::byte> der, const Key& key,
                                      const std::optional<std::string>& authorities) {
  const Certificate certificate = TRY(read_certificate(der));
  TRY(require_key(certificate.get(), key));
  if (!authorities)
    return "the certificate is that of the endorsement key; its issuer says that it is " +
           printable(text_of(X509_get_issuer_name(certificate.get())));
  TRY(require_usage(certificate.get()));
  const std::string authority = TRY(find_issuer(certificate.get(), *authorities));
  return "a certificate of the endorsement key leads to " + authority;
}

Status require_authorities(std::string_view pem, const std::string& what) {
  TRY(read_certificates(pem, "reading the certificates of those who certify TPMs", what));
  return {};
}

} // namespace ashlar::evidence
