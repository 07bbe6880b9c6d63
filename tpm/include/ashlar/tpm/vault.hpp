// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::tpm {

inline constexpr std::size_t sealed_key_bytes = 32; // AES-256
using SealedKey = std::array<std::byte, sealed_key_bytes>;

/// A sealed object is below this: TPM2B_PUBLIC and TPM2B_PRIVATE of a key of 32 bytes.
inline constexpr std::size_t max_sealed_object_bytes = 1024;

/// What the hardware TPM does for data that must outlive the machine's memory: gives a key out in
/// one state of the machine only, and counts up.
class Vault {
public:
  virtual ~Vault() = default;

  /// The key as an object that only this TPM opens, and only while the PCRs of its policy are what
  /// they are now. Errors: io.
  [[nodiscard]] virtual Result<std::vector<std::byte>> seal(const SealedKey& key) = 0;
  /// Errors: denied (the PCRs are others than when it was sealed), integrity (it is not an object
  /// of this TPM), io.
  [[nodiscard]] virtual Result<SealedKey> unseal(std::span<const std::byte> object) = 0;

  /// A counter in the TPM's own memory, which only grows; nothing: it was never counted up. Errors:
  /// io, integrity (something else has its NV index).
  [[nodiscard]] virtual Result<std::optional<std::uint64_t>> counter() = 0;
  /// Counts up by one, or from nothing to a number above all that any counter of this TPM ever had.
  /// Errors: io; then it is open whether it was done: counter() tells.
  [[nodiscard]] virtual Status count_up() = 0;

  /// A mark in the TPM's own memory, for who began to count and has acknowledged nothing yet.
  /// Errors: io, integrity (something else has its NV index).
  [[nodiscard]] virtual Result<bool> marked() = 0;
  /// Both may be asked for what is so already. Errors: those of marked(); then it is open whether
  /// it was done.
  [[nodiscard]] virtual Status mark() = 0;
  [[nodiscard]] virtual Status unmark() = 0;
};

} // namespace ashlar::tpm
