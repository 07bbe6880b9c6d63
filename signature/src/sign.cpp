// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/signature/sign.hpp"

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "ashlar/signature/certificate.hpp"
#include "openssl.hpp"

namespace ashlar::signature {

namespace {

/// A key with a passphrase fails: the command asks for nothing.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*rwflag*/, void* /*context*/) {
  return -1;
}

Result<std::string> pem_of(CMS_ContentInfo* message) {
  unsigned char* der = nullptr;
  const int size = i2d_CMS_ContentInfo(message, &der);
  const Bio out(BIO_new(BIO_s_mem()));
  const bool written = size > 0 && PEM_write_bio(out.get(), "CMS", "", der, size) > 0;
  OPENSSL_free(der);
  if (!written)
    return failure(ErrorCode::internal, "writing the signature", last_reason());
  char* data = nullptr;
  const long length = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<std::size_t>(std::max(length, 0L)));
}

} // namespace

Result<std::string> sign(std::span<const std::byte> content, Form form, std::string_view key_pem,
                         std::string_view certificate_pem) {
  const Certificate certificate =
      TRY(Certificate::from_pem(certificate_pem, "the signer's certificate"));
  const Bio key_text = reading(as_bytes(key_pem));
  const Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_passphrase, nullptr));
  if (!key)
    return failure(ErrorCode::invalid, "reading the private key",
                   "it is no PEM text of a key without a passphrase (" + last_reason() + ")");
  if (X509_check_private_key(certificate.handle(), key.get()) != 1) {
    ERR_clear_error();
    return failure(
        ErrorCode::invalid, "signing",
        "the key does not belong to the certificate: give the one that it was made with");
  }
  const Bio in = reading(content);
  const unsigned flags =
      CMS_BINARY | CMS_NOSMIMECAP | CMS_PARTIAL | (form == Form::detached ? CMS_DETACHED : 0U);
  const Cms cms(CMS_sign(nullptr, nullptr, nullptr, in.get(), flags));
  if (!cms ||
      CMS_add1_signer(cms.get(), certificate.handle(), key.get(), EVP_sha256(), flags) == nullptr ||
      CMS_final(cms.get(), in.get(), nullptr, flags) != 1)
    return failure(ErrorCode::internal, "signing", last_reason());
  return pem_of(cms.get());
}

} // namespace ashlar::signature
