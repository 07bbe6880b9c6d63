// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/signature/authenticode.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/signature/limits.hpp"
#include "openssl.hpp"
#include "pe_file.hpp"

namespace ashlar::signature {

namespace {

constexpr const char* spc_indirect_data = "1.3.6.1.4.1.311.2.1.4";
const std::string doing = "checking a signature of the image";

std::unexpected<Error> wrong(std::string why) {
  return failure(ErrorCode::invalid, doing, std::move(why));
}

Result<std::vector<std::byte>> digest_of(const PeFile& pe, const EVP_MD* hash) {
  const DigestContext context(EVP_MD_CTX_new());
  std::array<std::byte, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  bool good = context && EVP_DigestInit_ex(context.get(), hash, nullptr) == 1;
  for (const std::span<const std::byte> part : pe.covered)
    good = good && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  good = good && EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()),
                                    &size) == 1;
  if (!good)
    return failure(ErrorCode::internal, "hashing the image", last_reason());
  return std::vector(digest.begin(), digest.begin() + size);
}

/// The table pads entries to 8 bytes, and some tools count that into the entry.
bool only_padding(const unsigned char* from, const unsigned char* end) {
  return end - from < 8 && std::all_of(from, end, [](unsigned char byte) { return byte == 0; });
}

Result<Pkcs7> parse(std::span<const std::byte> entry) {
  const unsigned char* at = raw(entry);
  Pkcs7 message(d2i_PKCS7(nullptr, &at, static_cast<long>(entry.size())));
  if (!message)
    return wrong("it is no PKCS #7 message (" + last_reason() + ")");
  if (!only_padding(at, raw(entry) + entry.size()))
    return wrong("bytes follow the PKCS #7 message");
  if (!PKCS7_type_is_signed(message.get()) || message->d.sign == nullptr ||
      message->d.sign->contents == nullptr)
    return wrong("its PKCS #7 message is not a signed one");
  const STACK_OF(X509)* const embedded = message->d.sign->cert;
  if (embedded != nullptr && std::cmp_greater(sk_X509_num(embedded), max_embedded_certificates))
    return wrong("it carries too many certificates");
  return message;
}

/// The DER bytes of SpcIndirectDataContent without their tag and length, which is what is signed.
Result<std::span<const std::byte>> indirect_data(const PKCS7& message) {
  const PKCS7* const content = message.d.sign->contents;
  std::array<char, 64> type{};
  OBJ_obj2txt(type.data(), type.size(), content->type, 1);
  const ASN1_TYPE* const other = content->d.other;
  if (std::string_view(type.data()) != spc_indirect_data || other == nullptr ||
      other->type != V_ASN1_SEQUENCE)
    return wrong("it does not sign a PE image's digest");
  const unsigned char* at = ASN1_STRING_get0_data(other->value.sequence);
  const unsigned char* const end = at + ASN1_STRING_length(other->value.sequence);
  long size = 0;
  int tag = 0;
  int kind = 0;
  // Bit 7 set: a length that does not fit; bit 0 set: of indefinite length, which DER has not.
  const int got = ASN1_get_object(&at, &size, &tag, &kind, end - at);
  if ((got & 0x81) != 0 || tag != V_ASN1_SEQUENCE || size != end - at) {
    ERR_clear_error();
    return wrong("what it signs is not in DER");
  }
  return std::as_bytes(std::span(at, static_cast<std::size_t>(size)));
}

/// The DigestInfo that ends SpcIndirectDataContent.
Result<DigestInfo> stated_digest(std::span<const std::byte> indirect) {
  const unsigned char* at = raw(indirect);
  const unsigned char* const end = at + indirect.size();
  long size = 0;
  int tag = 0;
  int kind = 0;
  const int got = ASN1_get_object(&at, &size, &tag, &kind, end - at);
  if ((got & 0x81) != 0 || tag != V_ASN1_SEQUENCE || size > end - at) {
    ERR_clear_error();
    return wrong("what it signs is not in DER");
  }
  at += size; // SpcAttributeTypeAndOptionalValue: names the kind of file, and no digest
  DigestInfo digest(d2i_X509_SIG(nullptr, &at, end - at));
  ERR_clear_error();
  if (!digest || at != end)
    return wrong("it states no digest");
  return digest;
}

/// Does the signature state the digest of this very image?
Status check_digest(const PeFile& pe, std::span<const std::byte> indirect) {
  const DigestInfo stated = TRY(stated_digest(indirect));
  const X509_ALGOR* algorithm = nullptr;
  const ASN1_OCTET_STRING* value = nullptr;
  X509_SIG_get0(stated.get(), &algorithm, &value);
  const ASN1_OBJECT* name = nullptr;
  X509_ALGOR_get0(&name, nullptr, nullptr, algorithm);
  const int hash = OBJ_obj2nid(name);
  if (!strong_hash(hash))
    return wrong("its digest is of another kind than SHA-256, SHA-384 and SHA-512");
  const std::vector<std::byte> digest = TRY(digest_of(pe, EVP_get_digestbynid(hash)));
  const auto* const bytes = ASN1_STRING_get0_data(value);
  const auto size = static_cast<std::size_t>(ASN1_STRING_length(value));
  if (!std::ranges::equal(std::as_bytes(std::span(bytes, size)), digest))
    return failure(ErrorCode::integrity, doing,
                   "it is for another image, or this one was changed after it was signed");
  return {};
}

/// Authenticode has one signer, and signs attributes.
Status check_signer(const PKCS7_SIGNER_INFO* signer) {
  if (PKCS7_get_signed_attributes(signer) == nullptr)
    return wrong("it has no signed attributes");
  const ASN1_OBJECT* hash = nullptr;
  X509_ALGOR_get0(&hash, nullptr, nullptr, signer->digest_alg);
  if (!strong_hash(OBJ_obj2nid(hash)))
    return wrong("it is made with another hash than SHA-256, SHA-384 and SHA-512");
  return {};
}

struct Signer {
  Pkcs7 message;
  std::span<const std::byte> signed_bytes;
  BorrowedCertificates named; // the anchors, for a signature that does not carry its signer
  X509* certificate = nullptr;
};

Result<Signer> find_signer(std::span<const std::byte> entry, const Anchors& anchors) {
  Signer signer{TRY(parse(entry)), {}, BorrowedCertificates(sk_X509_new_null())};
  for (const Certificate& anchor : anchors.certificates)
    sk_X509_push(signer.named.get(), anchor.handle());
  signer.signed_bytes = TRY(indirect_data(*signer.message));
  STACK_OF(PKCS7_SIGNER_INFO)* const infos = PKCS7_get_signer_info(signer.message.get());
  if (infos == nullptr || sk_PKCS7_SIGNER_INFO_num(infos) != 1)
    return wrong("it does not have exactly one signer");
  TRY(check_signer(sk_PKCS7_SIGNER_INFO_value(infos, 0)));
  const BorrowedCertificates signers(
      PKCS7_get0_signers(signer.message.get(), signer.named.get(), 0));
  ERR_clear_error();
  if (!signers || sk_X509_num(signers.get()) != 1)
    return wrong("the signer's certificate is neither in it nor one of those named");
  signer.certificate = sk_X509_value(signers.get(), 0);
  return signer;
}

Status check_signature(const PeFile& pe, const Signer& signer) {
  TRY(check_digest(pe, signer.signed_bytes));
  PKCS7* const message = signer.message.get();
  Bio content = reading(signer.signed_bytes);
  // Not PKCS7_verify(): that leaks when a hash is unknown.
  const Bio hashed(PKCS7_dataInit(message, content.get()));
  if (!hashed)
    return wrong("it names a hash that OpenSSL does not know (" + last_reason() + ")");
  static_cast<void>(content.release()); // now the end of the chain
  std::array<std::byte, 4096> buffer{};
  while (BIO_read(hashed.get(), buffer.data(), static_cast<int>(buffer.size())) > 0) {
  }
  // Who the signer is, is for trust() to say: this is about the mathematics.
  PKCS7_SIGNER_INFO* const info = sk_PKCS7_SIGNER_INFO_value(PKCS7_get_signer_info(message), 0);
  if (PKCS7_signatureVerify(hashed.get(), message, info, signer.certificate) != 1)
    return failure(ErrorCode::integrity, doing, "the signature is wrong (" + last_reason() + ")");
  return {};
}

FoundSignature describe(const Signer& signer, const Status& outcome) {
  const Certificate certificate = Certificate::of(signer.certificate);
  return {.valid = outcome.has_value(),
          .why = outcome ? std::string() : outcome.error().why,
          .subject = certificate.subject(),
          .issuer = certificate.issuer(),
          .fingerprint = certificate.fingerprint(),
          .public_key = certificate.public_key()};
}

/// One signature says "trusted", another "revoked": the image was signed twice, so that one of the
/// certificates can be given up.
Trust better(Trust one, Trust other) {
  for (const Trust best : {Trust::trusted, Trust::revoked, Trust::unfit, Trust::weak})
    if (one == best || other == best)
      return best;
  return Trust::none;
}

} // namespace

Result<ImageSignatures> check_image(std::span<const std::byte> image, const Anchors& anchors) {
  const PeFile pe = TRY(read_pe(image));
  ImageSignatures result;
  result.unified = pe.unified;
  std::ranges::copy(TRY(digest_of(pe, EVP_sha256())), result.digest.begin());
  result.trust.assign(anchors.certificates.size(), Trust::none);
  for (const std::span<const std::byte> entry : pe.signatures) {
    const Result<Signer> signer = find_signer(entry, anchors);
    if (!signer) {
      result.found.push_back({.valid = false,
                              .why = signer.error().why,
                              .subject = {},
                              .issuer = {},
                              .fingerprint = {},
                              .public_key = {}});
      continue;
    }
    const Status outcome = check_signature(pe, *signer);
    result.found.push_back(describe(*signer, outcome));
    if (!outcome)
      continue;
    const auto all = trust(signer->certificate, signer->message->d.sign->cert, anchors);
    std::ranges::transform(result.trust, all, result.trust.begin(), better);
  }
  return result;
}

} // namespace ashlar::signature
