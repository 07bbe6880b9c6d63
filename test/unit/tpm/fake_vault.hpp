// SPDX-License-Identifier: LGPL-2.1-or-later
// A vault of arithmetic, which fails where it is told to.
#pragma once

#include <optional>
#include <vector>

#include "ashlar/tpm/vault.hpp"

namespace ashlar::tpm {

class FakeVault final : public Vault {
public:
  [[nodiscard]] Result<std::vector<std::byte>> seal(const SealedKey& key) override {
    key_ = key;
    return std::vector<std::byte>(8, state);
  }
  [[nodiscard]] Result<SealedKey> unseal(std::span<const std::byte> object) override {
    if (object.size() != 8 || object.front() != state)
      return failure(ErrorCode::denied, "unsealing", "the machine is in another state");
    return key_;
  }
  [[nodiscard]] Result<std::optional<std::uint64_t>> counter() override {
    if (dead)
      return failure(ErrorCode::io, "reading the counter", "the test's TPM is dead");
    return value;
  }
  [[nodiscard]] Status count_up() override {
    if (!dead && !fails_before)
      value = value.value_or(40) + 1;
    if (dead || fails_before || fails_after)
      return failure(ErrorCode::io, "counting", "the test's TPM fails");
    return {};
  }
  std::byte state{1};
  std::optional<std::uint64_t> value;
  bool dead = false;
  bool fails_before = false;
  bool fails_after = false;

private:
  SealedKey key_{};
};

} // namespace ashlar::tpm
