// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/measure/digest.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "ashlar/base/bytes.hpp"

namespace ashlar::measure {

namespace {

struct FreeMd {
  void operator()(EVP_MD* md) const { EVP_MD_free(md); }
};
struct FreeMdContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Md = std::unique_ptr<EVP_MD, FreeMd>;
using MdContext = std::unique_ptr<EVP_MD_CTX, FreeMdContext>;

Md fetch(const char* name) {
  return Md(EVP_MD_fetch(nullptr, name, nullptr));
}

/// The bank's algorithm, or nullptr where OpenSSL has none (a provider that forbids SHA-1).
/// Fetching walks the providers, so each algorithm is fetched once a process.
const EVP_MD* algorithm(Bank bank) {
  static const std::array<Md, all_banks.size()> fetched = {fetch("SHA1"), fetch("SHA2-256"),
                                                           fetch("SHA2-384")};
  return fetched[static_cast<std::size_t>(bank)].get();
}

std::unexpected<Error> openssl_failure(Bank bank, const char* call) {
  return failure(ErrorCode::internal, fmt::format("hashing into the {} bank", to_string(bank)),
                 fmt::format("OpenSSL's {} failed: check that its default provider offers {}", call,
                             to_string(bank)));
}

std::span<std::byte> digest_of(Digests& digests, Bank bank) {
  switch (bank) {
  case Bank::sha1:
    return digests.sha1;
  case Bank::sha256:
    return digests.sha256;
  case Bank::sha384:
    return digests.sha384;
  }
  return {};
}

} // namespace

const char* to_string(Bank bank) {
  switch (bank) {
  case Bank::sha1:
    return "sha1";
  case Bank::sha256:
    return "sha256";
  case Bank::sha384:
    return "sha384";
  }
  return "unknown";
}

std::span<const std::byte> Digests::of(Bank bank) const {
  switch (bank) {
  case Bank::sha1:
    return sha1;
  case Bank::sha256:
    return sha256;
  case Bank::sha384:
    return sha384;
  }
  return {};
}

struct DigestStream::State {
  std::array<MdContext, all_banks.size()> contexts;
};

DigestStream::DigestStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
DigestStream::DigestStream(DigestStream&&) noexcept = default;
DigestStream& DigestStream::operator=(DigestStream&&) noexcept = default;
DigestStream::~DigestStream() = default;

Result<DigestStream> DigestStream::create() {
  auto state = std::make_unique<State>();
  for (const Bank bank : all_banks) {
    const EVP_MD* md = algorithm(bank);
    if (md == nullptr)
      return openssl_failure(bank, "EVP_MD_fetch");
    MdContext context(EVP_MD_CTX_new());
    if (!context || EVP_DigestInit_ex2(context.get(), md, nullptr) != 1)
      return openssl_failure(bank, "EVP_DigestInit_ex2");
    state->contexts[static_cast<std::size_t>(bank)] = std::move(context);
  }
  return DigestStream(std::move(state));
}

Status DigestStream::update(std::span<const std::byte> bytes) {
  for (const Bank bank : all_banks) {
    EVP_MD_CTX* context = state_->contexts[static_cast<std::size_t>(bank)].get();
    if (EVP_DigestUpdate(context, bytes.data(), bytes.size()) != 1)
      return openssl_failure(bank, "EVP_DigestUpdate");
  }
  return {};
}

Result<Digests> DigestStream::finish() {
  Digests digests;
  for (const Bank bank : all_banks) {
    const auto out = digest_of(digests, bank);
    std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
    unsigned int size = 0;
    EVP_MD_CTX* context = state_->contexts[static_cast<std::size_t>(bank)].get();
    if (EVP_DigestFinal_ex(context, raw.data(), &size) != 1 || size != out.size())
      return openssl_failure(bank, "EVP_DigestFinal_ex");
    std::ranges::copy(std::as_bytes(std::span(raw)).first(size), out.begin());
  }
  return digests;
}

Result<Digests> digest(std::span<const std::byte> bytes) {
  DigestStream stream = TRY(DigestStream::create());
  TRY(stream.update(bytes));
  return stream.finish();
}

Result<Sha256> sha256_from_hex(std::string_view text, const std::string& what) {
  Sha256 digest{};
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() != digest.size())
    return failure(ErrorCode::invalid, "reading " + what,
                   fmt::format("\"{}\" is not a SHA-256 digest: give 64 hexadecimal digits, as "
                               "sha256sum prints them",
                               printable(text, 80)));
  std::ranges::copy(*bytes, digest.begin());
  return digest;
}

} // namespace ashlar::measure
