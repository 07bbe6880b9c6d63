// SPDX-License-Identifier: LGPL-2.1-or-later
// What open_host_tpm() makes of one connection.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "ashlar/base/result.hpp"
#include "ashlar/tpm/quote.hpp"
#include "ashlar/tpm/vault.hpp"
#include "esys.hpp"

namespace ashlar::tpm {

/// Makes the attestation key at once. Errors: io.
[[nodiscard]] Result<std::unique_ptr<Quoter>>
make_esys_quoter(const std::shared_ptr<EsysConnection>& esys, std::uint32_t host_pcr);

/// Touches nothing in the TPM before it is asked to.
[[nodiscard]] std::unique_ptr<Vault> make_esys_vault(std::shared_ptr<EsysConnection> esys,
                                                     std::span<const std::uint32_t> pcrs);

} // namespace ashlar::tpm
