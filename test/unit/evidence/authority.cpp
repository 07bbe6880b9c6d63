// SPDX-License-Identifier: LGPL-2.1-or-later
#include "authority.hpp"

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <fmt/format.h>

namespace ashlar::evidence::test {

namespace {

constexpr long day_s = 24L * 60 * 60;

X509_NAME* name_of(const std::string& text) {
  X509_NAME* const name = X509_NAME_new();
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0);
  return name;
}

void extend(X509* certificate, X509* issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_nconf_nid(nullptr, &context, kind, value);
  REQUIRE(extension);
  REQUIRE(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

X509* make(EVP_PKEY* key, const Wording& wording, X509* issuer, EVP_PKEY* issuer_key) {
  static long serial = 0;
  X509* const certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), wording.from_days * day_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate), wording.to_days * day_s);
  X509_NAME* const name = name_of(wording.subject);
  X509_set_subject_name(certificate, name);
  X509_NAME_free(name);
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer : certificate));
  X509_set_pubkey(certificate, key);
  extend(certificate, certificate, NID_basic_constraints,
         wording.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (wording.usage)
    extend(certificate, certificate, NID_ext_key_usage, wording.usage);
  REQUIRE(X509_sign(certificate, issuer_key, EVP_sha256()) > 0);
  return certificate;
}

Key make_key() {
  return Key(EVP_EC_gen("P-256"));
}

} // namespace

Authority::Authority(const Wording& wording)
    : key_(make_key()), certificate_(make(key_.get(), wording, nullptr, key_.get())) {}

Authority::Authority(const Authority& issuer, const Wording& wording)
    : key_(make_key()),
      certificate_(make(key_.get(), wording, issuer.certificate_.get(), issuer.key_.get())) {}

std::string Authority::pem() const {
  BIO* const out = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(out, certificate_.get());
  char* text = nullptr;
  const long size = BIO_get_mem_data(out, &text);
  std::string pem(text, static_cast<std::size_t>(size));
  BIO_free(out);
  return pem;
}

std::string Authority::certify(const Key& key, const Wording& wording) const {
  X509* const certificate = make(key.get(), wording, certificate_.get(), key_.get());
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  REQUIRE(size > 0);
  std::string bytes(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  X509_free(certificate);
  return bytes;
}

} // namespace ashlar::evidence::test
