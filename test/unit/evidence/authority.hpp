// SPDX-License-Identifier: LGPL-2.1-or-later
// Makers of TPMs, as far as their certificates go; their keys live as long as the test.
#pragma once

#include <openssl/x509.h>

#include <memory>
#include <optional>
#include <string>

#include "ashlar/evidence/key.hpp"

namespace ashlar::evidence::test {

/// What a certificate says.
struct Wording {
  std::string subject = "a TPM";
  long from_days = -1; // from now
  long to_days = 1;
  bool authority = false;      // may issue others
  const char* usage = nullptr; // extended key usage, as OpenSSL's configuration writes it
};

class Authority {
public:
  /// A root, which signs itself.
  explicit Authority(const Wording& wording);
  /// One that `issuer` certifies.
  Authority(const Authority& issuer, const Wording& wording);

  [[nodiscard]] std::string pem() const;
  /// A certificate (DER) of somebody's key.
  [[nodiscard]] std::string certify(const Key& key, const Wording& wording = {}) const;

private:
  struct Free {
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  Key key_;
  std::unique_ptr<X509, Free> certificate_;
};

} // namespace ashlar::evidence::test
