// SPDX-License-Identifier: LGPL-2.1-or-later
// The few TPM commands that a vTPM sends to itself, of both versions (TPM Main part 3; TPM 2.0
// Library part 3). Numbers are big-endian.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/pcr_profile.hpp"
#include "ashlar/vtpm/engine.hpp"

namespace ashlar::vtpm {

/// Sends a command and requires success. Gives the answer without its 10-byte header. Errors:
/// integrity (the TPM refused; `doing` and its return code), internal.
[[nodiscard]] Result<std::vector<std::byte>> run(Engine& engine, std::span<const std::byte> command,
                                                 const std::string& doing);

/// A command of this tag and code: the header, then `body`.
[[nodiscard]] std::vector<std::byte> command(std::uint16_t tag, std::uint32_t code,
                                             std::span<const std::byte> body);

inline constexpr std::uint16_t tag_tpm12 = 0x00c1;      // TPM_TAG_RQU_COMMAND
inline constexpr std::uint16_t tag_plain = 0x8001;      // TPM_ST_NO_SESSIONS
inline constexpr std::uint16_t tag_authorised = 0x8002; // TPM_ST_SESSIONS

/// Extends each PCR in the banks, then reads all of them back: they must have the values that
/// measure::replay() gives. Errors: integrity, internal.
[[nodiscard]] Status extend_all(Engine& engine, std::span<const measure::Extension> extensions,
                                std::span<const measure::Bank> banks);

/// A PCR's value in one bank (1.2: SHA-1). Errors: integrity, internal.
[[nodiscard]] Result<std::vector<std::byte>> read_pcr(Engine& engine, std::uint32_t pcr,
                                                      measure::Bank bank);

} // namespace ashlar::vtpm
