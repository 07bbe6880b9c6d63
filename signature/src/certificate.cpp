// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/signature/certificate.hpp"

#include <algorithm>
#include <ctime>

#include <openssl/x509v3.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/signature/limits.hpp"
#include "openssl.hpp"

namespace ashlar::signature {

namespace {

std::shared_ptr<X509> owned(X509* certificate) {
  return {certificate, X509_free};
}

std::string text_of(const X509_NAME* name) {
  const Bio out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return printable(std::string_view(data, static_cast<std::size_t>(std::max(size, 0L))),
                   max_name_bytes);
}

std::string text_of(const ASN1_TIME* time) {
  const Bio out(BIO_new(BIO_s_mem()));
  ASN1_TIME_print(out.get(), time);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return printable(std::string_view(data, static_cast<std::size_t>(std::max(size, 0L))));
}

} // namespace

Result<Certificate> Certificate::from_pem(std::string_view pem, const std::string& what) {
  const Bio in = reading(as_bytes(pem));
  std::shared_ptr<X509> first = owned(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
  if (!first)
    return failure(ErrorCode::invalid, "reading " + what,
                   "it is no PEM text of an X.509 certificate (" + last_reason() + ")");
  const std::shared_ptr<X509> second =
      owned(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (second)
    return failure(ErrorCode::invalid, "reading " + what, "it holds more than one certificate");
  Certificate certificate(std::move(first));
  // Read anew from its DER form: one way in, one set of checks.
  return from_der(certificate.der(), what);
}

Result<Certificate> Certificate::from_der(std::span<const std::byte> der, const std::string& what) {
  if (der.size() > max_certificate_bytes)
    return limit_failure("reading " + what, "the certificate is too large",
                         std::to_string(max_certificate_bytes) + " bytes");
  const unsigned char* at = raw(der);
  std::shared_ptr<X509> parsed = owned(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!parsed)
    return failure(ErrorCode::invalid, "reading " + what,
                   "it is no X.509 certificate (" + last_reason() + ")");
  if (at != raw(der) + der.size())
    return failure(ErrorCode::invalid, "reading " + what, "bytes follow the certificate");
  return Certificate(std::move(parsed));
}

Certificate Certificate::of(x509_st* certificate) {
  X509_up_ref(certificate);
  return Certificate(owned(certificate));
}

std::vector<std::byte> Certificate::der() const {
  const int size = i2d_X509(x509_.get(), nullptr);
  std::vector<std::byte> der(static_cast<std::size_t>(std::max(size, 0)));
  auto* at = reinterpret_cast<unsigned char*>(der.data());
  if (size > 0)
    i2d_X509(x509_.get(), &at);
  return der;
}

measure::Sha256 Certificate::fingerprint() const {
  measure::Sha256 fingerprint{};
  unsigned size = static_cast<unsigned>(fingerprint.size());
  X509_digest(x509_.get(), EVP_sha256(), reinterpret_cast<unsigned char*>(fingerprint.data()),
              &size);
  return fingerprint;
}

measure::Sha256 Certificate::public_key() const {
  measure::Sha256 digest{};
  EVP_PKEY* const key = X509_get0_pubkey(x509_.get());
  unsigned char* der = nullptr;
  const int size = key == nullptr ? -1 : i2d_PUBKEY(key, &der);
  ERR_clear_error();
  if (size > 0)
    EVP_Digest(der, static_cast<std::size_t>(size), reinterpret_cast<unsigned char*>(digest.data()),
               nullptr, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  return digest;
}

bool Certificate::signs_code() const {
  // Without the extension OpenSSL answers with all bits set.
  return (X509_get_extension_flags(x509_.get()) & EXFLAG_XKUSAGE) != 0 &&
         (X509_get_extended_key_usage(x509_.get()) & XKU_CODE_SIGN) != 0;
}

bool Certificate::may_issue() const {
  return X509_check_ca(x509_.get()) != 0;
}

int Certificate::security_bits() const {
  EVP_PKEY* const key = X509_get0_pubkey(x509_.get());
  ERR_clear_error();
  return key == nullptr ? 0 : EVP_PKEY_get_security_bits(key);
}

std::string Certificate::subject() const {
  return text_of(X509_get_subject_name(x509_.get()));
}

std::string Certificate::issuer() const {
  return text_of(X509_get_issuer_name(x509_.get()));
}

bool Certificate::expired_at(std::int64_t time) const {
  time_t at = time;
  return X509_cmp_time(X509_get0_notAfter(x509_.get()), &at) < 0;
}

bool Certificate::begins_after(std::int64_t time) const {
  time_t at = time;
  return X509_cmp_time(X509_get0_notBefore(x509_.get()), &at) > 0;
}

std::string Certificate::expiry() const {
  return text_of(X509_get0_notAfter(x509_.get()));
}

} // namespace ashlar::signature
