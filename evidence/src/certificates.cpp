// SPDX-License-Identifier: LGPL-2.1-or-later
#include "certificates.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "ashlar/evidence/limits.hpp"

namespace ashlar::evidence {

Result<Certificates> read_certificates(std::string_view pem, const std::string& doing,
                                       const std::string& file) {
  if (pem.size() > max_pem_bytes)
    return limit_failure(doing, file + " is too long", fmt::format("{} bytes", max_pem_bytes));
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Certificates certificates(sk_X509_new_null());
  while (X509* const one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
    sk_X509_push(certificates.get(), one);
  // The end of the text is the one error that is none.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end || sk_X509_num(certificates.get()) == 0)
    return failure(ErrorCode::invalid, doing,
                   fmt::format("{} has no certificate, or one that cannot be read: write \"BEGIN "
                               "CERTIFICATE\" blocks into it",
                               file));
  return certificates;
}

std::string text_of(const X509_NAME* name) {
  const Bio out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  const char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

} // namespace ashlar::evidence
