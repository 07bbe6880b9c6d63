// SPDX-License-Identifier: LGPL-2.1-or-later
// What open_host_tpm() makes of one connection.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/tpm/quote.hpp"
#include "ashlar/tpm/vault.hpp"
#include "esys.hpp"

namespace ashlar::tpm {

/// Makes the attestation key at once. Errors: io.
[[nodiscard]] Result<std::unique_ptr<Quoter>>
make_esys_quoter(const std::shared_ptr<EsysConnection>& esys, std::uint32_t host_pcr);

/// The endorsement key of the TCG's template (EK Credential Profile), and its certificate if the
/// TPM's maker left one in it: of the ECC key if it has one, else of the RSA key. Errors: io.
[[nodiscard]] Result<Endorsement> read_endorsement(const std::shared_ptr<EsysConnection>& esys);

/// TPM2_ActivateCredential for a loaded key: see Quoter::activate().
[[nodiscard]] Result<std::vector<std::byte>>
activate_credential(const std::shared_ptr<EsysConnection>& esys, ESYS_TR key,
                    std::span<const std::byte> credential, std::span<const std::byte> secret);

/// Touches nothing in the TPM before it is asked to.
[[nodiscard]] std::unique_ptr<Vault> make_esys_vault(std::shared_ptr<EsysConnection> esys,
                                                     std::span<const std::uint32_t> pcrs);

} // namespace ashlar::tpm
