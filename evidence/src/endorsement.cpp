// SPDX-License-Identifier: LGPL-2.1-or-later
#include "endorsement.hpp"

#include <openssl/err.h>

#include "ashlar/base/bytes.hpp"
#include "openssl_owners.hpp"

namespace ashlar::evidence {

Result<std::string> check_certificate(std::span<const std::byte> der, const Key& key) {
  const std::string doing = "reading host.ek.crt";
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* const end = at + der.size();
  const Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!certificate || at != end)
    return failure(ErrorCode::invalid, doing, "it is no certificate in DER");
  EVP_PKEY* const certified = X509_get0_pubkey(certificate.get()); // the certificate's own
  if (certified == nullptr || EVP_PKEY_eq(certified, key.get()) != 1)
    return failure(ErrorCode::integrity, doing,
                   "it is the certificate of another key than host.ek.pub");
  const Bio out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_issuer_name(certificate.get()), 0, XN_FLAG_RFC2253);
  const char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return "the certificate is that of the endorsement key; its issuer says that it is " +
         printable({text, static_cast<std::size_t>(size)});
}

} // namespace ashlar::evidence
