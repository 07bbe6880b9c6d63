// SPDX-License-Identifier: LGPL-2.1-or-later
// Keeps a TPM's permanent state, which must outlive its domain, between two parties: a store, which
// nobody trusts, has it encrypted; the TPM Manager has the key and the digest of what the store has
// to give back.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/domain_configuration.hpp"
#include "ashlar/measure/record.hpp"
#include "ashlar/vtpm/guest_measurement.hpp"

namespace ashlar::vtpm {

/// Whose state it is: encrypted with it, so that another guest's, or another version's, is none.
struct StateOwner {
  measure::Uuid guest{};
  measure::Vtpm version = measure::Vtpm::none;
};

class StateKeeper {
public:
  /// `store` may be empty: then nothing is kept, and load() refuses a guest that has a state.
  StateKeeper(Exchange manager, Exchange store, const StateOwner& owner)
      : manager_(std::move(manager)), store_(std::move(store)), owner_(owner) {}

  [[nodiscard]] bool keeps() const { return static_cast<bool>(store_); }

  /// What save() made durable last; nothing: never anything, this is the guest's first TPM. Errors:
  /// denied (the manager refuses; there is a state and no store), integrity (the store has lost it,
  /// or gives an older or another one), and those of the exchanges.
  [[nodiscard]] Result<std::optional<std::vector<std::byte>>> load() const;

  /// Durable when it returns. On an error the former state, or this one, is what load() gives.
  /// Errors: io (the store), denied (the manager), limit, and those of the exchanges.
  [[nodiscard]] Status save(std::span<const std::byte> state) const;

private:
  Exchange manager_;
  Exchange store_;
  StateOwner owner_;
};

} // namespace ashlar::vtpm
