// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/aes_gcm.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <memory>

namespace ashlar::tpm {

namespace {

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

const unsigned char* raw(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* raw_out(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

/// The callers' messages are below 2 MiB.
int length(std::span<const std::byte> bytes) {
  return static_cast<int>(bytes.size());
}

} // namespace

Result<std::vector<std::byte>> encrypt(const AesKey& key, std::span<const std::byte> bound,
                                       std::span<const std::byte> plain) {
  std::vector<std::byte> out(gcm_nonce_bytes + plain.size() + gcm_tag_bytes);
  const auto nonce = std::span(out).first(gcm_nonce_bytes);
  const auto text = std::span(out).subspan(gcm_nonce_bytes, plain.size());
  const auto tag = std::span(out).last(gcm_tag_bytes);
  const Cipher cipher(EVP_CIPHER_CTX_new());
  int size = 0;
  const bool good =
      cipher && RAND_bytes(raw_out(nonce), static_cast<int>(nonce.size())) == 1 &&
      EVP_EncryptInit_ex2(cipher.get(), EVP_aes_256_gcm(), raw(key), raw(nonce), nullptr) == 1 &&
      EVP_EncryptUpdate(cipher.get(), nullptr, &size, raw(bound), length(bound)) == 1 &&
      EVP_EncryptUpdate(cipher.get(), raw_out(text), &size, raw(plain), length(plain)) == 1 &&
      EVP_EncryptFinal_ex(cipher.get(), raw_out(tag), &size) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag.size()),
                          tag.data()) == 1;
  if (!good)
    return failure(ErrorCode::internal, "encrypting by AES-256-GCM", "OpenSSL refused");
  return out;
}

Result<std::optional<std::vector<std::byte>>>
decrypt(const AesKey& key, std::span<const std::byte> bound, std::span<const std::byte> sealed) {
  if (sealed.size() < gcm_nonce_bytes + gcm_tag_bytes)
    return std::nullopt;
  const auto nonce = sealed.first(gcm_nonce_bytes);
  const auto text =
      sealed.subspan(gcm_nonce_bytes, sealed.size() - gcm_nonce_bytes - gcm_tag_bytes);
  std::array<std::byte, gcm_tag_bytes> tag{}; // OpenSSL takes it as not constant
  std::copy_n(sealed.end() - gcm_tag_bytes, gcm_tag_bytes, tag.begin());
  std::vector<std::byte> plain(text.size());
  const Cipher cipher(EVP_CIPHER_CTX_new());
  int size = 0;
  const bool ready =
      cipher &&
      EVP_DecryptInit_ex2(cipher.get(), EVP_aes_256_gcm(), raw(key), raw(nonce), nullptr) == 1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &size, raw(bound), length(bound)) == 1 &&
      EVP_DecryptUpdate(cipher.get(), raw_out(plain), &size, raw(text), length(text)) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag.size()),
                          tag.data()) == 1;
  if (!ready)
    return failure(ErrorCode::internal, "decrypting by AES-256-GCM", "OpenSSL refused");
  if (EVP_DecryptFinal_ex(cipher.get(), raw_out(std::span(tag)), &size) == 1)
    return plain;
  OPENSSL_cleanse(plain.data(), plain.size());
  return std::nullopt;
}

} // namespace ashlar::tpm
