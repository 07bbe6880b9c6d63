// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/digest.hpp"

struct x509_st; // OpenSSL's X509

namespace ashlar::signature {

/// An X.509 certificate (RFC 5280). Copies share one parsed object, which nobody changes.
class Certificate {
public:
  /// Reads the one certificate of a PEM text (RFC 7468). Errors: invalid (none, more than one, or
  /// not a certificate), limit (limits.hpp); each names `what`.
  [[nodiscard]] static Result<Certificate> from_pem(std::string_view pem, const std::string& what);
  /// Reads exactly one certificate in DER. Errors: as above.
  [[nodiscard]] static Result<Certificate> from_der(std::span<const std::byte> der,
                                                    const std::string& what);
  /// Takes its own reference to `certificate`.
  [[nodiscard]] static Certificate of(x509_st* certificate);

  [[nodiscard]] std::vector<std::byte> der() const;
  /// SHA-256 over the DER form, as `openssl x509 -fingerprint -sha256` prints it.
  [[nodiscard]] measure::Sha256 fingerprint() const;
  /// SHA-256 over the SubjectPublicKeyInfo in DER, as of `openssl x509 -pubkey -noout | openssl
  /// pkey -pubin -outform DER`: whoever issues the certificate anew, or changes the signature on it
  /// (which anybody can where ECDSA made it), changes the fingerprint and not this. All zero for a
  /// key that OpenSSL does not know: no signature by such a one is ever right.
  [[nodiscard]] measure::Sha256 public_key() const;
  /// Is it marked for signing code (extended key usage, RFC 5280 4.2.1.12)? Without the extension
  /// it is not.
  [[nodiscard]] bool signs_code() const;
  /// Can it have issued others, as trust() sees it: is it a CA (basic constraints and key usage,
  /// RFC 5280 4.2.1.9 and 4.2.1.3; a self-signed one of X.509 version 1 counts)?
  [[nodiscard]] bool may_issue() const;
  /// What its key is worth, compared with min_security_bits; 0 for a key that OpenSSL does not
  /// know.
  [[nodiscard]] int security_bits() const;
  /// In the form of RFC 2253, printable, at most max_name_bytes.
  [[nodiscard]] std::string subject() const;
  [[nodiscard]] std::string issuer() const;
  /// Compared with a time in seconds since 1970.
  [[nodiscard]] bool expired_at(std::int64_t time) const;
  [[nodiscard]] bool begins_after(std::int64_t time) const;
  /// "Aug 15 17:32:37 2032 GMT".
  [[nodiscard]] std::string expiry() const;
  [[nodiscard]] x509_st* handle() const { return x509_.get(); }

private:
  explicit Certificate(std::shared_ptr<x509_st> x509) : x509_(std::move(x509)) {}
  std::shared_ptr<x509_st> x509_;
};

} // namespace ashlar::signature
