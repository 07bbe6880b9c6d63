// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/evidence/key.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/limits.hpp"
#include "ashlar/measure/digest.hpp"
#include "openssl_owners.hpp"

namespace ashlar::evidence {

namespace {

// One block between BEGIN and END.
struct PemBlock {
  std::string name;
  std::unique_ptr<unsigned char, Releaser<free_bytes>> data; // nothing: there is no further block
  long size = 0;
};

PemBlock next_block(BIO* bio) {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  PemBlock block;
  if (PEM_read_bio(bio, &name, &header, &data, &block.size) != 1)
    return block;
  block.name = name;
  block.data.reset(data);
  OPENSSL_free(name);
  OPENSSL_free(header);
  return block;
}

Key key_of(const PemBlock& block) {
  const unsigned char* at = block.data.get();
  const unsigned char* const end = at + block.size;
  Key key(d2i_PUBKEY(nullptr, &at, block.size));
  return at == end ? std::move(key) : nullptr;
}

} // namespace

void FreeKey::operator()(evp_pkey_st* key) const {
  EVP_PKEY_free(key);
}

bool same_key(const Key& one, const Key& other) {
  return EVP_PKEY_eq(one.get(), other.get()) == 1;
}

std::string describe(const Key& key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key.get(), &der);
  if (size <= 0)
    return "a key that cannot be written";
  const auto digests =
      measure::digest(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
  OPENSSL_free(der);
  return fmt::format("{} {} sha256:{}", EVP_PKEY_get0_type_name(key.get()),
                     EVP_PKEY_get_bits(key.get()),
                     digests ? to_hex(digests->sha256) : std::string("unknown"));
}

Result<std::vector<Key>> read_keys(std::string_view pem, const std::string& what) {
  const std::string doing = "reading the keys of " + what;
  if (pem.size() > max_pem_bytes)
    return limit_failure(doing, fmt::format("it has {} bytes", pem.size()),
                         fmt::format("{} bytes", max_pem_bytes));
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::vector<Key> keys;
  for (PemBlock block = next_block(bio.get()); block.data; block = next_block(bio.get())) {
    Key key = block.name == "PUBLIC KEY" ? key_of(block) : nullptr;
    if (!key || keys.size() == max_trusted_keys)
      return failure(
          ErrorCode::invalid, doing,
          fmt::format("block {} is no \"PUBLIC KEY\", or one too many", keys.size() + 1));
    keys.push_back(std::move(key));
  }
  // The end of the text is the one error that is none.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end || keys.empty())
    return failure(ErrorCode::invalid, doing,
                   keys.empty() ? "it has no \"BEGIN PUBLIC KEY\" block: write it with "
                                  "tpm2_readpublic -f pem"
                                : fmt::format("what follows key {} cannot be read", keys.size()));
  return keys;
}

} // namespace ashlar::evidence
