// SPDX-License-Identifier: LGPL-2.1-or-later
#include <tss2/tss2_mu.h>

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

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

/// Reads the PCRs of a selection in the SHA-256 bank: at most eight come with one answer. Errors:
/// io, integrity (the TPM answers for other ones).
Result<std::map<std::uint32_t, measure::Sha256>> read_pcrs(const EsysConnection& esys,
                                                           std::span<const std::uint32_t> pcrs) {
  const std::string doing = "reading the PCRs of the TPM";
  constexpr std::size_t at_once = 8; // TPML_DIGEST
  std::map<std::uint32_t, measure::Sha256> values;
  for (std::size_t at = 0; at < pcrs.size(); at += at_once) {
    const auto some = pcrs.subspan(at, std::min(at_once, pcrs.size() - at));
    const TPML_PCR_SELECTION wanted = sha256_selection(some);
    TPML_DIGEST* digests = nullptr;
    const TSS2_RC status = Esys_PCR_Read(esys.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                         &wanted, nullptr, nullptr, &digests);
    if (status != TSS2_RC_SUCCESS)
      return tss_failure(ErrorCode::io, doing, status);
    const Answer<TPML_DIGEST> owned(digests);
    if (digests->count != some.size())
      return failure(ErrorCode::integrity, doing,
                     fmt::format("it answers for {} of {} PCRs", digests->count, some.size()));
    for (std::size_t i = 0; i < some.size(); ++i) {
      measure::Sha256& value = values[some[i]];
      if (digests->digests[i].size != value.size())
        return failure(ErrorCode::integrity, doing, "a value is no SHA-256");
      std::ranges::copy(std::as_bytes(std::span(digests->digests[i].buffer, value.size())),
                        value.begin());
    }
  }
  return values;
}

/// Are these the values that the TPM signed? Errors: integrity, internal.
Status require_quoted(const TPM2B_ATTEST& attest,
                      const std::map<std::uint32_t, measure::Sha256>& values) {
  const std::string doing = "comparing what the TPM quoted with its PCRs";
  TPMS_ATTEST parsed{};
  std::size_t at = 0;
  const TSS2_RC status =
      Tss2_MU_TPMS_ATTEST_Unmarshal(attest.attestationData, attest.size, &at, &parsed);
  if (status != TSS2_RC_SUCCESS || parsed.type != TPM2_ST_ATTEST_QUOTE)
    return failure(ErrorCode::integrity, doing, "what it signed is no quote");
  measure::BankStream stream = TRY(measure::BankStream::create(measure::Bank::sha256));
  for (const auto& [pcr, value] : values)
    TRY(stream.update(value));
  measure::Digests wanted;
  TRY(stream.finish(wanted));
  const TPM2B_DIGEST& quoted = parsed.attested.quote.pcrDigest;
  if (!std::ranges::equal(std::as_bytes(std::span(quoted.buffer, quoted.size)), wanted.sha256))
    return failure(ErrorCode::integrity, doing, "they differ: somebody else extends them");
  return {};
}

class EsysQuoter final : public Quoter {
public:
  EsysQuoter(std::shared_ptr<EsysConnection> esys, EsysObject key,
             std::vector<std::byte> public_key, std::vector<std::uint32_t> pcrs)
      : esys_(std::move(esys)), key_(std::move(key)), public_key_(std::move(public_key)),
        pcrs_(std::move(pcrs)) {}

  [[nodiscard]] Result<Quote> quote(const measure::Sha256& qualifying) override {
    const std::string doing = "quoting the PCRs of the TPM";
    TPM2B_DATA data{};
    for (const std::byte byte : qualifying)
      data.buffer[data.size++] = std::to_integer<BYTE>(byte);
    TPMT_SIG_SCHEME scheme{};
    scheme.scheme = TPM2_ALG_NULL; // the key's own
    const TPML_PCR_SELECTION selection = sha256_selection(pcrs_);
    TPM2B_ATTEST* attest = nullptr;
    TPMT_SIGNATURE* signature = nullptr;
    const TSS2_RC status =
        Esys_Quote(esys_->get(), key_.get(), ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data,
                   &scheme, &selection, &attest, &signature);
    if (status != TSS2_RC_SUCCESS)
      return tss_failure(ErrorCode::io, doing, status);
    const Answer<TPM2B_ATTEST> owned_attest(attest);
    const Answer<TPMT_SIGNATURE> owned_signature(signature);
    std::map<std::uint32_t, measure::Sha256> values = TRY(read_pcrs(*esys_, pcrs_));
    TRY(require_quoted(*attest, values));
    const auto signed_bytes = std::as_bytes(std::span(attest->attestationData, attest->size));
    auto marshalled_signature = TRY(marshalled(*signature, Tss2_MU_TPMT_SIGNATURE_Marshal, doing));
    return Quote{
        .attest = {signed_bytes.begin(), signed_bytes.end()},
        .signature = std::move(marshalled_signature),
        .public_key = public_key_,
        .pcrs = std::move(values),
    };
  }

  [[nodiscard]] std::span<const std::byte> attestation_key() const override { return public_key_; }

  [[nodiscard]] Result<std::map<std::uint32_t, measure::Sha256>> pcrs() override {
    return read_pcrs(*esys_, pcrs_);
  }

  [[nodiscard]] Result<Endorsement> endorsement() override { return read_endorsement(esys_); }

  [[nodiscard]] Result<std::vector<std::byte>>
  activate(std::span<const std::byte> credential, std::span<const std::byte> secret) override {
    return activate_credential(esys_, key_.get(), credential, secret);
  }

private:
  std::shared_ptr<EsysConnection> esys_;
  EsysObject key_;
  std::vector<std::byte> public_key_;
  std::vector<std::uint32_t> pcrs_; // rising
};

} // namespace

Result<std::unique_ptr<Quoter>> make_esys_quoter(const std::shared_ptr<EsysConnection>& esys,
                                                 std::uint32_t host_pcr) {
  const std::string doing = "making the TPM's attestation key";
  Primary key = TRY(create_primary(esys, ESYS_TR_RH_ENDORSEMENT, attestation_template(), doing));
  std::vector<std::byte> public_key =
      TRY(marshalled(*key.public_area, Tss2_MU_TPM2B_PUBLIC_Marshal, doing));
  return std::make_unique<EsysQuoter>(esys, std::move(key.object), std::move(public_key),
                                      std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, host_pcr});
}

} // namespace ashlar::tpm
