// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/signature/cms.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/signature/limits.hpp"
#include "openssl.hpp"

namespace ashlar::signature {

namespace {

Result<Cms> parse(std::span<const std::byte> message, const std::string& doing) {
  if (message.size() > max_message_bytes)
    return limit_failure(doing, fmt::format("it has {} bytes", message.size()),
                         fmt::format("{} bytes", max_message_bytes));
  const unsigned char* at = raw(message);
  Cms cms(d2i_CMS_ContentInfo(nullptr, &at, static_cast<long>(message.size())));
  if (!cms)
    return failure(ErrorCode::invalid, doing, "it is no CMS message (" + last_reason() + ")");
  if (at != raw(message) + message.size())
    return failure(ErrorCode::invalid, doing, "bytes follow the message");
  if (OBJ_obj2nid(CMS_get0_type(cms.get())) != NID_pkcs7_signed)
    return failure(ErrorCode::invalid, doing, "it is a CMS message, but not a signed one");
  if (OBJ_obj2nid(CMS_get0_eContentType(cms.get())) != NID_pkcs7_data)
    return failure(ErrorCode::invalid, doing, "what it signs is not plain data");
  return cms;
}

int hash_of(CMS_SignerInfo* signer) {
  X509_ALGOR* hash = nullptr;
  CMS_SignerInfo_get0_algs(signer, nullptr, nullptr, &hash, nullptr);
  const ASN1_OBJECT* name = nullptr;
  X509_ALGOR_get0(&name, nullptr, nullptr, hash);
  return OBJ_obj2nid(name);
}

/// Without signed attributes a signature over one kind of content can be shown as one over another.
Status check_signers(CMS_ContentInfo* cms, const std::string& doing) {
  const STACK_OF(CMS_SignerInfo)* const signers = CMS_get0_SignerInfos(cms);
  const int count = signers == nullptr ? 0 : sk_CMS_SignerInfo_num(signers);
  if (count < 1)
    return failure(ErrorCode::invalid, doing, "nobody has signed it");
  if (std::cmp_greater(count, max_signers))
    return limit_failure(doing, fmt::format("it has {} signers", count),
                         fmt::format("{} signers", max_signers));
  for (int i = 0; i < count; ++i) {
    CMS_SignerInfo* const signer = sk_CMS_SignerInfo_value(signers, i);
    if (CMS_signed_get_attr_count(signer) <= 0)
      return failure(ErrorCode::unsupported, doing,
                     "it has no signed attributes: sign it without -noattr");
    if (!strong_hash(hash_of(signer)))
      return failure(ErrorCode::unsupported, doing,
                     "it is signed with a hash other than SHA-256, SHA-384 or SHA-512");
  }
  return {};
}

/// Gives each signer its certificate: one in the message, or one of the anchors.
Result<Certificates> find_certificates(CMS_ContentInfo* cms, const Anchors& anchors,
                                       const std::string& doing) {
  const BorrowedCertificates named(sk_X509_new_null());
  for (const Certificate& anchor : anchors.certificates)
    sk_X509_push(named.get(), anchor.handle());
  CMS_set1_signers_certs(cms, named.get(), 0);
  ERR_clear_error();
  Certificates embedded(CMS_get1_certs(cms));
  if (embedded && std::cmp_greater(sk_X509_num(embedded.get()), max_embedded_certificates))
    return limit_failure(doing, "it carries too many certificates",
                         fmt::format("{} certificates", max_embedded_certificates));
  return embedded;
}

/// The certificate that was found for this signer; owned by the message.
Result<X509*> certificate_of(CMS_SignerInfo* signer, const std::string& doing) {
  X509* certificate = nullptr;
  CMS_SignerInfo_get0_algs(signer, nullptr, &certificate, nullptr, nullptr);
  if (certificate == nullptr)
    return failure(ErrorCode::denied, doing,
                   "the signer's certificate is neither in it nor one of those named");
  return certificate;
}

/// Why nobody trusts a signer; `strangers` ends the sentence for one that no anchor knows.
std::string why_untrusted(const std::vector<Trust>& all, const std::string& subject,
                          std::string_view strangers) {
  if (std::ranges::count(all, Trust::revoked) > 0)
    return fmt::format("a certificate between its signer \"{}\" and the one named, or the key of "
                       "one, is revoked",
                       subject);
  if (std::ranges::count(all, Trust::unfit) > 0)
    return fmt::format("the certificate of its signer \"{}\" is not marked for signing code "
                       "(extended key usage), which the policy demands with signers = "
                       "\"code-signing\"",
                       subject);
  if (std::ranges::count(all, Trust::weak) > 0)
    return fmt::format("a key or hash between its signer \"{}\" and the certificate named is worth "
                       "less than {} bits of security: have it signed with RSA from 2048 bits or "
                       "ECDSA, and certificates with SHA-256",
                       subject, min_security_bits);
  return fmt::format("its signer \"{}\" has {}", subject, strangers);
}

/// Is a certificate known for this signer, and does an anchor trust it?
Status check_trust(CMS_SignerInfo* signer, STACK_OF(X509) * embedded, const Anchors& anchors,
                   const std::string& doing) {
  X509* const certificate = TRY(certificate_of(signer, doing));
  const std::vector<Trust> all = trust(certificate, embedded, anchors);
  if (std::ranges::count(all, Trust::trusted) > 0)
    return {};
  return failure(ErrorCode::denied, doing,
                 why_untrusted(all, Certificate::of(certificate).subject(),
                               "none of the certificates named, nor one issued by them"));
}

/// The last failure of check_trust(), or success when one signer is trusted.
Status any_trusted(CMS_ContentInfo* cms, STACK_OF(X509) * embedded, const Anchors& anchors,
                   const std::string& doing) {
  STACK_OF(CMS_SignerInfo)* const signers = CMS_get0_SignerInfos(cms);
  Status outcome;
  for (int i = 0; i < sk_CMS_SignerInfo_num(signers); ++i) {
    outcome = check_trust(sk_CMS_SignerInfo_value(signers, i), embedded, anchors, doing);
    if (outcome)
      break;
  }
  return outcome;
}

/// The messageDigest attribute (RFC 5652, 11.2) of a signer whose signature over it is right.
Result<measure::Sha256> stated_digest(CMS_SignerInfo* signer, const std::string& doing) {
  if (hash_of(signer) != NID_sha256)
    return failure(ErrorCode::unsupported, doing,
                   "it is signed with another hash than SHA-256: sign it with -md sha256");
  if (CMS_SignerInfo_verify(signer) != 1)
    return failure(ErrorCode::integrity, doing, "the signature is wrong (" + last_reason() + ")");
  constexpr int only_one = -3; // of the attribute, with one value
  // What is signed says what it is; the type beside it, which parse() has seen, nobody signs.
  const auto* const type = static_cast<const ASN1_OBJECT*>(CMS_signed_get0_data_by_OBJ(
      signer, OBJ_nid2obj(NID_pkcs9_contentType), only_one, V_ASN1_OBJECT));
  if (type == nullptr || OBJ_obj2nid(type) != NID_pkcs7_data)
    return failure(ErrorCode::unsupported, doing,
                   "it was made for content of another type than plain data");
  const auto* const stated = static_cast<const ASN1_OCTET_STRING*>(CMS_signed_get0_data_by_OBJ(
      signer, OBJ_nid2obj(NID_pkcs9_messageDigest), only_one, V_ASN1_OCTET_STRING));
  measure::Sha256 digest{};
  if (stated == nullptr || std::cmp_not_equal(ASN1_STRING_length(stated), digest.size()))
    return failure(ErrorCode::invalid, doing, "it does not state one SHA-256 digest");
  std::ranges::copy(std::as_bytes(std::span(ASN1_STRING_get0_data(stated), digest.size())),
                    digest.begin());
  return digest;
}

/// A detached message with its one signer.
struct Detached {
  Cms cms;
  Certificates embedded;
  CMS_SignerInfo* signer = nullptr; // within `cms`
};

Result<Detached> parse_detached(std::span<const std::byte> message, const Anchors& anchors,
                                const std::string& doing) {
  Detached detached{TRY(parse(message, doing)), nullptr, nullptr};
  TRY(check_signers(detached.cms.get(), doing));
  if (CMS_is_detached(detached.cms.get()) != 1)
    return failure(ErrorCode::invalid, doing,
                   "it holds what it signs: a detached signature is wanted (leave -nodetach out)");
  detached.embedded = TRY(find_certificates(detached.cms.get(), anchors, doing));
  STACK_OF(CMS_SignerInfo)* const signers = CMS_get0_SignerInfos(detached.cms.get());
  if (sk_CMS_SignerInfo_num(signers) != 1)
    return failure(ErrorCode::unsupported, doing, "it has more than one signer");
  detached.signer = sk_CMS_SignerInfo_value(signers, 0);
  return detached;
}

} // namespace

Result<std::vector<std::byte>> message_from_pem(std::string_view pem, const std::string& what) {
  const Bio in = reading(as_bytes(pem));
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  if (PEM_read_bio(in.get(), &name, &header, &data, &size) != 1)
    return failure(ErrorCode::invalid, "reading " + what,
                   "it is no PEM text of a CMS message (" + last_reason() + ")");
  const std::string kind = name;
  const auto bytes = std::as_bytes(std::span(data, static_cast<std::size_t>(size)));
  std::vector<std::byte> message(bytes.begin(), bytes.end());
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_free(data);
  if (kind != "CMS" && kind != "PKCS7")
    return failure(ErrorCode::invalid, "reading " + what,
                   fmt::format("it is a PEM text of a {}, not of a CMS message", printable(kind)));
  return message;
}

Result<std::string> signed_content(std::span<const std::byte> message, const Anchors& anchors,
                                   const std::string& what) {
  const std::string doing = "verifying " + what;
  const Cms cms = TRY(parse(message, doing));
  TRY(check_signers(cms.get(), doing));
  if (CMS_is_detached(cms.get()) == 1)
    return failure(ErrorCode::invalid, doing,
                   "it does not hold what it signs: sign it with -nodetach");
  const Certificates embedded = TRY(find_certificates(cms.get(), anchors, doing));
  TRY(any_trusted(cms.get(), embedded.get(), anchors, doing));
  const Bio out(BIO_new(BIO_s_mem()));
  const BorrowedCertificates named(sk_X509_new_null());
  for (const Certificate& anchor : anchors.certificates)
    sk_X509_push(named.get(), anchor.handle());
  if (CMS_verify(cms.get(), named.get(), nullptr, nullptr, out.get(),
                 CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) != 1)
    return failure(ErrorCode::integrity, doing, "the signature is wrong (" + last_reason() + ")");
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<std::size_t>(std::max(size, 0L)));
}

Result<measure::Sha256> signed_digest(std::span<const std::byte> message, const Anchors& anchors,
                                      const std::string& what) {
  const std::string doing = "verifying " + what;
  const Detached detached = TRY(parse_detached(message, anchors, doing));
  TRY(check_trust(detached.signer, detached.embedded.get(), anchors, doing));
  return stated_digest(detached.signer, doing);
}

Result<DetachedSignature> check_detached(std::span<const std::byte> message,
                                         const measure::Sha256& sha256, const Anchors& anchors,
                                         const std::string& what) {
  const std::string doing = "verifying " + what;
  const Detached detached = TRY(parse_detached(message, anchors, doing));
  X509* const certificate = TRY(certificate_of(detached.signer, doing));
  if (TRY(stated_digest(detached.signer, doing)) != sha256)
    return failure(ErrorCode::integrity, doing,
                   "it is for another image, or this one was changed after it was signed");
  const Certificate signer = Certificate::of(certificate);
  return DetachedSignature{.subject = signer.subject(),
                           .issuer = signer.issuer(),
                           .fingerprint = signer.fingerprint(),
                           .public_key = signer.public_key(),
                           .trust = trust(certificate, detached.embedded.get(), anchors)};
}

Status require_trusted(const DetachedSignature& signature, const std::string& what) {
  if (std::ranges::count(signature.trust, Trust::trusted) > 0)
    return {};
  return failure(
      ErrorCode::denied, "verifying " + what,
      why_untrusted(signature.trust, signature.subject,
                    "no certificate of the policy, nor one issued by them: leave the signature "
                    "out, or have one made by somebody whom the policy names"));
}

} // namespace ashlar::signature
