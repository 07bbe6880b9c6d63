// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/measure/digest.hpp"

#include <algorithm>
#include <type_traits>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/parallel_digest.hpp"

namespace ashlar::measure {

namespace {

constexpr std::size_t worth_threads_bytes = 1u << 20; // below, starting threads costs more

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

/// The digest of one bank: constant bytes, if the digests are constant.
template <typename Of>
auto bytes_of(Of& digests, Bank bank) {
  using Bytes = std::span<std::conditional_t<std::is_const_v<Of>, const std::byte, std::byte>>;
  switch (bank) {
  case Bank::sha1:
    return Bytes(digests.sha1);
  case Bank::sha256:
    return Bytes(digests.sha256);
  case Bank::sha384:
    return Bytes(digests.sha384);
  }
  return Bytes();
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
  return bytes_of(*this, bank);
}

std::span<std::byte> Digests::of(Bank bank) {
  return bytes_of(*this, bank);
}

struct BankStream::Context {
  MdContext md;
};

BankStream::BankStream(Bank bank, std::unique_ptr<Context> context)
    : bank_(bank), context_(std::move(context)) {}
BankStream::BankStream(BankStream&&) noexcept = default;
BankStream& BankStream::operator=(BankStream&&) noexcept = default;
BankStream::~BankStream() = default;

Result<BankStream> BankStream::create(Bank bank) {
  const EVP_MD* md = algorithm(bank);
  if (md == nullptr)
    return openssl_failure(bank, "EVP_MD_fetch");
  auto context = std::make_unique<Context>(MdContext(EVP_MD_CTX_new()));
  if (!context->md || EVP_DigestInit_ex2(context->md.get(), md, nullptr) != 1)
    return openssl_failure(bank, "EVP_DigestInit_ex2");
  return BankStream(bank, std::move(context));
}

Status BankStream::update(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(context_->md.get(), bytes.data(), bytes.size()) != 1)
    return openssl_failure(bank_, "EVP_DigestUpdate");
  return {};
}

Status BankStream::finish(Digests& digests) {
  const auto out = digests.of(bank_);
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned int size = 0;
  if (EVP_DigestFinal_ex(context_->md.get(), raw.data(), &size) != 1 || size != out.size())
    return openssl_failure(bank_, "EVP_DigestFinal_ex");
  std::ranges::copy(std::as_bytes(std::span(raw)).first(size), out.begin());
  return {};
}

Result<DigestStream> DigestStream::create() {
  std::vector<BankStream> banks;
  for (const Bank bank : all_banks)
    banks.push_back(TRY(BankStream::create(bank)));
  return DigestStream(std::move(banks));
  // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks): the vector owns what it has
}

Status DigestStream::update(std::span<const std::byte> bytes) {
  for (BankStream& bank : banks_)
    TRY(bank.update(bytes));
  return {};
}

Result<Digests> DigestStream::finish() {
  Digests digests;
  for (BankStream& bank : banks_)
    TRY(bank.finish(digests));
  return digests;
}

Result<Digests> digest(std::span<const std::byte> bytes) {
  if (bytes.size() >= worth_threads_bytes) {
    ParallelDigest parallel = TRY(ParallelDigest::begin(bytes));
    parallel.available(bytes.size());
    return parallel.finish();
  }
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
