// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/evidence/signed_file.hpp"

#include <fmt/format.h>
#include <openssl/err.h>

#include "ashlar/evidence/limits.hpp"
#include "certificates.hpp"
#include "openssl_owners.hpp"

namespace ashlar::evidence {

namespace {

Bio reader_of(const void* data, std::size_t size) {
  return Bio(BIO_new_mem_buf(data, static_cast<int>(size)));
}

Result<CmsMessage> read_cms(std::span<const std::byte> bytes, const std::string& doing) {
  if (bytes.size() > max_signature_bytes)
    return limit_failure(doing, "the signature is too long",
                         fmt::format("{} bytes", max_signature_bytes));
  const Bio bio = reader_of(bytes.data(), bytes.size());
  CmsMessage cms(d2i_CMS_bio(bio.get(), nullptr));
  const bool whole = BIO_pending(bio.get()) == 0;
  ERR_clear_error();
  if (!cms || !whole)
    return failure(ErrorCode::invalid, doing,
                   "the signature is no CMS in DER: write it with openssl cms -sign -binary "
                   "-outform DER");
  if (OBJ_obj2nid(CMS_get0_type(cms.get())) != NID_pkcs7_signed || CMS_is_detached(cms.get()) != 1)
    return failure(ErrorCode::invalid, doing, "the CMS is not a detached signature");
  return cms;
}

// OpenSSL verifies a message that nobody signed: there must be a signature, and none may be weak.
Status check_signatures(CMS_ContentInfo* cms, const std::string& doing) {
  STACK_OF(CMS_SignerInfo)* const infos = CMS_get0_SignerInfos(cms); // owned by the message
  if (infos == nullptr || sk_CMS_SignerInfo_num(infos) == 0)
    return failure(ErrorCode::integrity, doing, "nobody signed it");
  for (int i = 0; i < sk_CMS_SignerInfo_num(infos); ++i) {
    X509_ALGOR* hash = nullptr;
    CMS_SignerInfo_get0_algs(sk_CMS_SignerInfo_value(infos, i), nullptr, nullptr, &hash, nullptr);
    const int algorithm = OBJ_obj2nid(hash->algorithm);
    if (algorithm != NID_sha256 && algorithm != NID_sha384 && algorithm != NID_sha512)
      return failure(ErrorCode::integrity, doing,
                     "it is signed over a weak hash: sign with openssl cms -md sha256");
  }
  return {};
}

} // namespace

Result<std::string> verify_signed(std::span<const std::byte> content,
                                  std::span<const std::byte> cms, std::string_view signers_pem,
                                  const std::string& what) {
  const std::string doing = "checking the signature of " + what;
  const Certificates trusted = TRY(read_certificates(signers_pem, doing, "signers.pem"));
  const CmsMessage message = TRY(read_cms(cms, doing));
  TRY(check_signatures(message.get(), doing));
  const Bio data = reader_of(content.data(), content.size());
  const int verified = CMS_verify(message.get(), trusted.get(), nullptr, data.get(), nullptr,
                                  CMS_BINARY | CMS_NOINTERN | CMS_NO_SIGNER_CERT_VERIFY);
  const int reason = ERR_GET_REASON(ERR_peek_error());
  ERR_clear_error();
  if (verified != 1 && reason == CMS_R_SIGNER_CERTIFICATE_NOT_FOUND)
    return failure(ErrorCode::denied, doing,
                   "it was signed by nobody in signers.pem: have it signed by one of them");
  if (verified != 1)
    return failure(ErrorCode::integrity, doing,
                   "the signature is not one over these bytes: the file was changed after it "
                   "was signed");
  STACK_OF(X509)* const signers = CMS_get0_signers(message.get());
  std::string subject = text_of(X509_get_subject_name(sk_X509_value(signers, 0)));
  sk_X509_free(signers); // the list alone: the certificates belong to `trusted`
  return subject;
}

} // namespace ashlar::evidence
