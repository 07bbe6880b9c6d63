// SPDX-License-Identifier: LGPL-2.1-or-later
#include <tss2/tss2_mu.h>

#include <array>
#include <utility>

#include "esys.hpp"
#include "esys_parts.hpp"

namespace ashlar::tpm {

namespace {

/// Restricted: the TPM signs nothing by it but what the TPM itself says.
TPM2B_PUBLIC attestation_template() {
  TPMT_SYM_DEF_OBJECT symmetric{};
  symmetric.algorithm = TPM2_ALG_NULL;
  TPMT_ECC_SCHEME scheme{};
  scheme.scheme = TPM2_ALG_ECDSA;
  scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  return ecc_template(TPMA_OBJECT_SIGN_ENCRYPT, symmetric, scheme);
}

class EsysQuoter final : public Quoter {
public:
  EsysQuoter(std::shared_ptr<EsysConnection> esys, EsysObject key,
             std::vector<std::byte> public_key, const TPML_PCR_SELECTION& selection)
      : esys_(std::move(esys)), key_(std::move(key)), public_key_(std::move(public_key)),
        selection_(selection) {}

  [[nodiscard]] Result<Quote> quote(const measure::Sha256& qualifying) override {
    const std::string doing = "quoting the PCRs of the TPM";
    TPM2B_DATA data{};
    for (const std::byte byte : qualifying)
      data.buffer[data.size++] = std::to_integer<BYTE>(byte);
    TPMT_SIG_SCHEME scheme{};
    scheme.scheme = TPM2_ALG_NULL; // the key's own
    TPM2B_ATTEST* attest = nullptr;
    TPMT_SIGNATURE* signature = nullptr;
    const TSS2_RC status =
        Esys_Quote(esys_->get(), key_.get(), ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data,
                   &scheme, &selection_, &attest, &signature);
    if (status != TSS2_RC_SUCCESS)
      return tss_failure(ErrorCode::io, doing, status);
    const Answer<TPM2B_ATTEST> owned_attest(attest);
    const Answer<TPMT_SIGNATURE> owned_signature(signature);
    const auto signed_bytes = std::as_bytes(std::span(attest->attestationData, attest->size));
    return Quote{
        .attest = {signed_bytes.begin(), signed_bytes.end()},
        .signature = TRY(marshalled(*signature, Tss2_MU_TPMT_SIGNATURE_Marshal, doing)),
        .public_key = public_key_,
    };
  }

private:
  std::shared_ptr<EsysConnection> esys_;
  EsysObject key_;
  std::vector<std::byte> public_key_;
  TPML_PCR_SELECTION selection_;
};

} // namespace

Result<std::unique_ptr<Quoter>> make_esys_quoter(const std::shared_ptr<EsysConnection>& esys,
                                                 std::uint32_t host_pcr) {
  const std::string doing = "making the TPM's attestation key";
  Primary key = TRY(create_primary(esys, ESYS_TR_RH_ENDORSEMENT, attestation_template(), doing));
  std::vector<std::byte> public_key =
      TRY(marshalled(*key.public_area, Tss2_MU_TPM2B_PUBLIC_Marshal, doing));
  const std::array<std::uint32_t, 9> pcrs = {0, 1, 2, 3, 4, 5, 6, 7, host_pcr};
  return std::make_unique<EsysQuoter>(esys, std::move(key.object), std::move(public_key),
                                      sha256_selection(pcrs));
}

} // namespace ashlar::tpm
