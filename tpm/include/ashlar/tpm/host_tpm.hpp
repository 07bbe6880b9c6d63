// SPDX-License-Identifier: LGPL-2.1-or-later
// The machine's TPM 2.0, opened once for all its uses.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/tpm/hardware_tpm.hpp"
#include "ashlar/tpm/quote.hpp"
#include "ashlar/tpm/vault.hpp"

namespace ashlar::tpm {

struct HostTpm {
  std::unique_ptr<HardwareTpm> log;
  std::unique_ptr<Quoter> quoter;
  std::unique_ptr<Vault> vault;
};

/// Opens a TPM by tpm2-tss's ESYS, and flushes the objects that are loaded in it. `tcti` names it
/// as the tpm2-tools do: "device:/dev/tpm0", or "swtpm:host=127.0.0.1,port=2321" for tests; both
/// are linked, nothing is loaded at run time. `seal_pcrs`, each below 24, are the vault's policy.
/// The firmware or the kernel's driver must have started the TPM. Errors: invalid (the name, or a
/// PCR that is not first_host_pcr to last_host_pcr), io, unsupported (no active SHA-256 bank).
[[nodiscard]] Result<HostTpm> open_host_tpm(const std::string& tcti, std::uint32_t pcr,
                                            std::span<const std::uint32_t> seal_pcrs);

} // namespace ashlar::tpm
