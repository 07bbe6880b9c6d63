// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/tpmif.hpp"

namespace ashlar::tpm {

/// Where sealed contents lie, with somebody who may lose, change or bring back any of them: the
/// sealed key file (key_store.hpp) believes none that it has not checked.
class SealedPlace {
public:
  virtual ~SealedPlace() = default;
  /// For messages, as in "reading the vTPM keys WHERE".
  [[nodiscard]] virtual std::string where() const = 0;
  /// All that lies there, in no order; anything may be in it, and some may be damaged. Errors: io,
  /// timeout, not_found (the place itself is not there yet), integrity (the place makes no sense).
  [[nodiscard]] virtual Result<std::vector<std::vector<std::byte>>> contents() = 0;
  /// Puts one more there; durable when it returns. Errors: io, timeout, limit, not_found.
  [[nodiscard]] virtual Status add(std::span<const std::byte> content) = 0;
  /// This content, which lies there, is the one that counts; all others may go. Errors: io,
  /// timeout, integrity (it is not there), not_found.
  [[nodiscard]] virtual Status keep(std::span<const std::byte> content) = 0;
};

/// In `directory`: the file vtpm-keys, and vtpm-keys.new beside it.
[[nodiscard]] std::unique_ptr<SealedPlace> place_in_directory(const std::string& directory);

/// With ashlar-vtpm-store, over the device vtpm-state of this domain, which the builder makes when
/// the store's domain runs: until then all fail with not_found. All calls together block for
/// store_time_in_window at most in each store_window (limits.hpp), and fail with timeout when that
/// is used up.
using StoreConnector =
    std::function<Result<std::unique_ptr<ipc::TpmifFrontend>>(std::chrono::milliseconds)>;
using StoreClock = std::function<std::chrono::steady_clock::time_point()>;
[[nodiscard]] std::unique_ptr<SealedPlace>
place_in_store(StoreConnector connect, StoreClock clock = std::chrono::steady_clock::now);

} // namespace ashlar::tpm
