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
    keys_.push_back(key);
    std::vector<std::byte> object(8, state);
    object.back() = static_cast<std::byte>(keys_.size() - 1);
    return object;
  }
  [[nodiscard]] Result<SealedKey> unseal(std::span<const std::byte> object) override {
    ++unseals;
    if (object.size() != 8 || object.front() != state)
      return failure(ErrorCode::denied, "unsealing", "the machine is in another state");
    const auto number = std::to_integer<std::size_t>(object.back());
    if (number >= keys_.size())
      return failure(ErrorCode::integrity, "unsealing", "another TPM sealed it");
    return keys_[number];
  }
  [[nodiscard]] Result<std::optional<std::uint64_t>> counter() override {
    if (dead)
      return failure(ErrorCode::io, "reading the counter", "the test's TPM is dead");
    return value;
  }
  [[nodiscard]] Status count_up() override {
    return change([this] { value = value.value_or(40) + 1; });
  }
  [[nodiscard]] Result<bool> marked() override { return mark_there; }
  [[nodiscard]] Status mark() override {
    return change([this] { mark_there = true; });
  }
  [[nodiscard]] Status unmark() override {
    return change([this] { mark_there = false; });
  }

  std::byte state{1};
  std::optional<std::uint64_t> value;
  bool mark_there = false;
  bool dead = false;
  bool fails_before = false; // a change is not done, and fails
  bool fails_after = false;  // it is done, and fails
  int changes_left = -1;     // so many are done; then those fail as the two above say
  int unseals = 0;

private:
  template <typename Change>
  [[nodiscard]] Status change(Change apply) {
    if (changes_left > 0) {
      --changes_left;
      apply();
      return {};
    }
    if (!dead && !fails_before)
      apply();
    if (dead || fails_before || fails_after)
      return failure(ErrorCode::io, "counting", "the test's TPM fails");
    return {};
  }

  std::vector<SealedKey> keys_;
};

} // namespace ashlar::tpm
