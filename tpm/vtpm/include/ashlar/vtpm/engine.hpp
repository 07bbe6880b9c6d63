// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/domain_configuration.hpp"

namespace ashlar::vtpm {

/// A TPM in this process: libtpms, whose state is global, so there can be one at a time. It is at
/// locality 0 for everybody and physical presence cannot be asserted.
class Engine {
public:
  /// Makes the permanent state (libtpms' "permall") durable. An error makes the TPM fail: it then
  /// answers every command with its failure code, and never goes on with what would be lost.
  using Keep = std::function<Status(std::span<const std::byte> state)>;

  /// A fresh TPM, or the one whose permanent state `saved` is; started (TPM_Startup or TPM2_Startup
  /// with CLEAR), enabled and active, with the banks SHA-1, SHA-256 and SHA-384 and no others (1.2:
  /// SHA-1). What firmware would lock before a system boots is locked. Errors: busy (there is one),
  /// internal (libtpms; `saved` is no state of its).
  [[nodiscard]] static Result<std::unique_ptr<Engine>> start(measure::Vtpm version,
                                                             std::span<const std::byte> saved = {});
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  [[nodiscard]] measure::Vtpm version() const { return version_; }

  /// Keeps the state as it is now, and from now on with each change before the command that changed
  /// it is answered. Errors: those of `keep`.
  [[nodiscard]] Status keep_state(Keep keep);

  /// The answer to one TPM packet, whatever is in it. Errors: internal (libtpms failed: there is no
  /// TPM any more).
  [[nodiscard]] Result<std::vector<std::byte>> process(std::span<const std::byte> command);

private:
  explicit Engine(measure::Vtpm version) : version_(version) {}
  [[nodiscard]] Status power_on();
  [[nodiscard]] Status prepare();
  measure::Vtpm version_;
};

} // namespace ashlar::vtpm
