// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/evidence/text_forms.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <iterator>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/limits.hpp"
#include "openssl_owners.hpp"

namespace ashlar::evidence {

namespace {

const unsigned char* data_of(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

std::unexpected<Error> refused(const char* doing) {
  ERR_clear_error();
  return failure(ErrorCode::internal, doing, "OpenSSL refuses it");
}

} // namespace

Result<std::string> base64(std::span<const std::byte> bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0'); // and the NUL that OpenSSL writes
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), data_of(bytes),
                                   static_cast<int>(bytes.size()));
  if (size < 0)
    return refused("writing base64");
  text.resize(static_cast<std::size_t>(size));
  return text;
}

Result<std::string> pem_block(const std::string& name, std::span<const std::byte> der) {
  const Bio out(BIO_new(BIO_s_mem()));
  if (!out ||
      PEM_write_bio(out.get(), name.c_str(), "", data_of(der), static_cast<long>(der.size())) <= 0)
    return refused("writing a PEM block");
  const char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

Result<std::string> pem_of(const Key& key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key.get(), &der);
  const std::unique_ptr<unsigned char, Releaser<free_bytes>> owned(der);
  if (size <= 0)
    return refused("writing a public key");
  return pem_block("PUBLIC KEY", std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
}

std::string firmware_reference(const PcrList& pcrs) {
  std::string text = "# What this machine's TPM held when this was written, as the machine said.\n";
  for (const auto& [pcr, value] : pcrs) {
    if (pcr >= firmware_pcrs)
      continue;
    if (value == measure::Sha256{})
      fmt::format_to(std::back_inserter(text),
                     "# sha256:{} is empty: nothing was measured into it\n", pcr);
    else
      fmt::format_to(std::back_inserter(text), "sha256:{} {}\n", pcr, to_hex(value));
  }
  return text;
}

} // namespace ashlar::evidence
