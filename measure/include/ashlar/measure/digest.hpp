// SPDX-License-Identifier: LGPL-2.1-or-later
// Digests in all three banks (SHA-1, SHA-256, SHA-384), computed by OpenSSL's EVP.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::measure {

/// A PCR bank: one hash algorithm.
enum class Bank { sha1, sha256, sha384 };
inline constexpr std::array<Bank, 3> all_banks = {Bank::sha1, Bank::sha256, Bank::sha384};

/// "sha1", "sha256", "sha384".
[[nodiscard]] const char* to_string(Bank bank);

using Sha1 = std::array<std::byte, 20>;
using Sha256 = std::array<std::byte, 32>;
using Sha384 = std::array<std::byte, 48>;

/// The digests of the same bytes in every bank, raw (not hexadecimal).
struct Digests {
  Sha1 sha1{};
  Sha256 sha256{};
  Sha384 sha384{};

  [[nodiscard]] std::span<const std::byte> of(Bank bank) const;
  [[nodiscard]] std::span<std::byte> of(Bank bank);
  auto operator<=>(const Digests&) const = default;
};

/// Hashes a stream of bytes into one bank.
class BankStream {
public:
  /// Errors: internal (OpenSSL offers no such algorithm).
  [[nodiscard]] static Result<BankStream> create(Bank bank);
  BankStream(BankStream&&) noexcept;
  BankStream& operator=(BankStream&&) noexcept;
  ~BankStream();

  /// Adds bytes. Errors: internal (OpenSSL refused).
  [[nodiscard]] Status update(std::span<const std::byte> bytes);
  /// Ends the stream and writes the digest of its bank into `digests`; the object must not be used
  /// again.
  [[nodiscard]] Status finish(Digests& digests);

private:
  struct Context;
  BankStream(Bank bank, std::unique_ptr<Context> context);
  Bank bank_;
  std::unique_ptr<Context> context_;
};

/// Hashes a stream of bytes into all banks at once.
class DigestStream {
public:
  [[nodiscard]] static Result<DigestStream> create();
  /// Adds bytes. Errors: internal (OpenSSL refused).
  [[nodiscard]] Status update(std::span<const std::byte> bytes);
  /// Ends the stream; the object must not be used again.
  [[nodiscard]] Result<Digests> finish();

private:
  explicit DigestStream(std::vector<BankStream> banks) : banks_(std::move(banks)) {}
  std::vector<BankStream> banks_; // as in all_banks
};

/// The digests of bytes that are all at hand; many of them are hashed on several cores.
[[nodiscard]] Result<Digests> digest(std::span<const std::byte> bytes);

/// Reads 64 hexadecimal digits. Errors: invalid, naming `what`.
[[nodiscard]] Result<Sha256> sha256_from_hex(std::string_view text, const std::string& what);

} // namespace ashlar::measure
