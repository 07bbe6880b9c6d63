// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <span>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/digest.hpp"
#include "ashlar/tpm/pcr.hpp"

namespace ashlar::tpm {

/// The machine's TPM 2.0, as far as the host log needs it.
class HardwareTpm {
public:
  virtual ~HardwareTpm() = default;

  /// The banks among SHA-1, SHA-256 and SHA-384 that are active for the host PCR; SHA-256 always.
  [[nodiscard]] virtual std::span<const measure::Bank> banks() const = 0;

  /// Extends the host PCR in every active bank, by one TPM command: in all banks or in none.
  /// Errors: io. After an error it is open whether the TPM did it: read() tells.
  [[nodiscard]] virtual Status extend(const measure::Digests& digests) = 0;

  /// The host PCR's value; zeros in banks that are not active. Errors: io, integrity (the TPM left
  /// an active bank out of its answer).
  [[nodiscard]] virtual Result<PcrValue> read() = 0;
};

} // namespace ashlar::tpm
