// SPDX-License-Identifier: LGPL-2.1-or-later
// Answers the command of vendor_command.hpp. The guest controls every byte that comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ashlar/base/allowance.hpp"
#include "ashlar/base/result.hpp"
#include "ashlar/vtpm/engine.hpp"
#include "ashlar/vtpm/guest_measurement.hpp"
#include "ashlar/vtpm/vendor_command.hpp"

namespace ashlar::vtpm {

/// Is this a command for VendorCommands, well-formed or not, rather than for the TPM?
[[nodiscard]] bool is_vendor_command(std::span<const std::byte> packet);

/// One guest's. Keeps one prepared document, until the next one is prepared.
class VendorCommands {
public:
  using Clock = std::function<Allowance::Time()>;
  /// The engine, a TPM 2.0, outlives this object; `manager` asks the TPM Manager. The clock is the
  /// tests'.
  VendorCommands(Engine& engine, Exchange manager, GuestMeasurement measurement,
                 Clock clock = std::chrono::steady_clock::now);

  /// The answer to one packet for which is_vendor_command() holds; a refusal is a response code.
  [[nodiscard]] std::vector<std::byte> answer(std::span<const std::byte> packet);

private:
  using Body = std::vector<std::byte>;
  using Answer = std::expected<Body, VendorResponse>;
  [[nodiscard]] Answer perform(std::span<const std::byte> packet);
  [[nodiscard]] Answer prepare_log();
  [[nodiscard]] Answer prepare_evidence(std::span<const std::byte> arguments);
  [[nodiscard]] Answer read(std::span<const std::byte> arguments) const;
  [[nodiscard]] Answer activate(std::span<const std::byte> arguments);
  [[nodiscard]] Status write_measurement(Body& document) const;

  Engine& engine_;
  Exchange manager_;
  GuestMeasurement measurement_;
  Clock clock_;
  Allowance allowance_;
  Body document_; // empty: nothing is prepared
};

} // namespace ashlar::vtpm
