// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/signature/sign.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/signature/certificate.hpp"
#include "ashlar/signature/limits.hpp"
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

/// A key with whose signatures a builder can do something.
Status require_useful(EVP_PKEY* key, const std::string& doing) {
  constexpr std::string_view useful = "use RSA from 2048 bits, or ECDSA";
  const int kind = EVP_PKEY_get_base_id(key);
  if (kind != EVP_PKEY_RSA && kind != EVP_PKEY_RSA_PSS && kind != EVP_PKEY_EC) {
    const char* const name = EVP_PKEY_get0_type_name(key);
    return failure(ErrorCode::unsupported, doing,
                   fmt::format("a key of kind {} does not work here: {}",
                               name == nullptr ? "unknown" : name, useful));
  }
  if (const int bits = EVP_PKEY_get_security_bits(key); bits < min_security_bits)
    return failure(ErrorCode::unsupported, doing,
                   fmt::format("the key is worth {} bits of security, and builders believe none "
                               "below {}: {}",
                               bits, min_security_bits, useful));
  return {};
}

Result<Key> read_key(const PemFile& file) {
  const std::string doing = "reading the private key " + printable(file.path);
  const Bio text = reading(as_bytes(file.text));
  Key key(PEM_read_bio_PrivateKey(text.get(), nullptr, no_passphrase, nullptr));
  if (!key)
    return failure(ErrorCode::invalid, doing,
                   "it is no PEM text of a key without a passphrase (" + last_reason() + ")");
  TRY(require_useful(key.get(), doing));
  return key;
}

} // namespace

Result<std::string> sign(std::span<const std::byte> content, Form form, const PemFile& key_file,
                         const PemFile& certificate_file) {
  const Certificate certificate =
      TRY(Certificate::from_pem(certificate_file.text, printable(certificate_file.path)));
  const Key key = TRY(read_key(key_file));
  if (X509_check_private_key(certificate.handle(), key.get()) != 1) {
    ERR_clear_error();
    return failure(ErrorCode::invalid, "signing",
                   fmt::format("the key {} does not belong to the certificate {}: give the one "
                               "that it was made with",
                               printable(key_file.path), printable(certificate_file.path)));
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
