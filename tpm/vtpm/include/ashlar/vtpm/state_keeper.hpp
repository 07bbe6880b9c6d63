// SPDX-License-Identifier: LGPL-2.1-or-later
// Keeps a TPM's permanent state, which must outlive its domain, between two parties: a store, which
// nobody trusts, has it encrypted; the TPM Manager has the key and the digest of what the store has
// to give back.
#pragma once

#include <chrono>
#include <functional>
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

/// The manager may say "ask later": its store takes long, or this guest saves often. It is asked
/// again for so long, which is below what Linux waits for a command that writes (120 s) and what
/// the builder waits for a vTPM (120 s, for a load and a save).
inline constexpr std::chrono::seconds load_patience{30};
inline constexpr std::chrono::seconds save_patience{60};
inline constexpr std::chrono::seconds ask_pause{2};

/// How time passes; the tests have their own.
struct Time {
  std::function<std::chrono::steady_clock::time_point()> now;
  std::function<void(std::chrono::seconds)> pause;
};
[[nodiscard]] Time real_time();

class StateKeeper {
public:
  /// `store` may be empty: then nothing is kept, and load() refuses a guest that has a state.
  StateKeeper(Exchange manager, Exchange store, const StateOwner& owner, Time time = real_time())
      : manager_(std::move(manager)), store_(std::move(store)), owner_(owner),
        time_(std::move(time)) {}

  [[nodiscard]] bool keeps() const { return static_cast<bool>(store_); }

  /// What save() made durable last; nothing: never anything, this is the guest's first TPM. Errors:
  /// denied (the manager refuses; there is a state and no store), integrity (the store has lost it,
  /// or gives an older or another one), and those of the exchanges. Takes load_patience at most,
  /// beside the exchanges.
  [[nodiscard]] Result<std::optional<std::vector<std::byte>>> load() const;

  /// Durable when it returns. On an error the former state, or this one, is what load() gives.
  /// Errors: io (the store), denied (the manager), limit, and those of the exchanges. Takes
  /// save_patience at most, beside the exchanges.
  [[nodiscard]] Status save(std::span<const std::byte> state) const;

private:
  Exchange manager_;
  Exchange store_;
  StateOwner owner_;
  Time time_;
};

} // namespace ashlar::vtpm
