// SPDX-License-Identifier: LGPL-2.1-or-later
// The host PCR through tpm2-tss.

#include <tss2/tss2_esys.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ashlar/measure/event_log.hpp"
#include "ashlar/tpm/host_tpm.hpp"
#include "esys.hpp"
#include "esys_parts.hpp"

namespace ashlar::tpm {

namespace {

using measure::Bank;

std::optional<Bank> bank_of(TPMI_ALG_HASH algorithm) {
  for (const Bank bank : measure::all_banks)
    if (measure::tcg_algorithm(bank) == algorithm)
      return bank;
  return std::nullopt;
}

bool selects(const TPMS_PCR_SELECTION& selection, std::uint32_t pcr) {
  return pcr / 8 < selection.sizeofSelect && (selection.pcrSelect[pcr / 8] >> (pcr % 8) & 1) != 0;
}

// The banks of ours in which this PCR is active. Active banks of other algorithms are left alone:
// docs/tpm-manager.md tells verifiers which banks the log speaks for.
Result<std::vector<Bank>> active_banks(ESYS_CONTEXT* esys, std::uint32_t pcr) {
  const std::string doing = "asking the TPM for its active PCR banks";
  TPMI_YES_NO more = TPM2_NO;
  TPMS_CAPABILITY_DATA* data = nullptr;
  const TSS2_RC status = Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                            TPM2_CAP_PCRS, 0, 1, &more, &data);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  const Answer<TPMS_CAPABILITY_DATA> answer(data);
  const TPML_PCR_SELECTION& assigned = answer->data.assignedPCR;
  std::vector<Bank> banks;
  for (const TPMS_PCR_SELECTION& selection : std::span(assigned.pcrSelections, assigned.count))
    if (const auto bank = bank_of(selection.hash); bank && selects(selection, pcr))
      banks.push_back(*bank);
  if (std::ranges::find(banks, Bank::sha256) == banks.end())
    return failure(ErrorCode::unsupported, doing,
                   fmt::format("PCR {} has no active SHA-256 bank: allocate it "
                               "(tpm2_pcrallocate sha256:all) and restart the machine",
                               pcr));
  return banks;
}

void copy_digest(TPMT_HA& out, Bank bank, const measure::Digests& digests) {
  out.hashAlg = measure::tcg_algorithm(bank);
  BYTE* const target = bank == Bank::sha1     ? out.digest.sha1
                       : bank == Bank::sha256 ? out.digest.sha256
                                              : out.digest.sha384;
  std::ranges::transform(digests.of(bank), target,
                         [](std::byte value) { return std::to_integer<BYTE>(value); });
}

bool take_digest(PcrValue& value, Bank bank, const TPM2B_DIGEST& digest) {
  const std::span<std::byte> out = value.of(bank);
  if (digest.size != out.size())
    return false;
  std::ranges::copy(std::as_bytes(std::span(digest.buffer, digest.size)), out.begin());
  return true;
}

class EsysTpm final : public HardwareTpm {
public:
  EsysTpm(std::shared_ptr<EsysConnection> esys, std::uint32_t pcr, std::vector<Bank> banks)
      : esys_(std::move(esys)), pcr_(pcr), banks_(std::move(banks)) {}

  [[nodiscard]] std::span<const Bank> banks() const override { return banks_; }

  [[nodiscard]] Status extend(const measure::Digests& digests) override {
    TPML_DIGEST_VALUES values{};
    for (const Bank bank : banks_)
      copy_digest(values.digests[values.count++], bank, digests);
    // ESYS numbers the PCRs' objects as the PCRs themselves; their authorisation value is empty.
    const TSS2_RC status = Esys_PCR_Extend(esys_->get(), ESYS_TR_PCR0 + pcr_, ESYS_TR_PASSWORD,
                                           ESYS_TR_NONE, ESYS_TR_NONE, &values);
    if (status != TSS2_RC_SUCCESS)
      return tss_failure(ErrorCode::io, fmt::format("extending PCR {} of the TPM", pcr_), status);
    return {};
  }

  [[nodiscard]] Result<PcrValue> read() override {
    TPML_PCR_SELECTION* selected = nullptr;
    TPML_DIGEST* digests = nullptr;
    const TPML_PCR_SELECTION wanted = selection();
    const TSS2_RC status = Esys_PCR_Read(esys_->get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                         &wanted, nullptr, &selected, &digests);
    if (status != TSS2_RC_SUCCESS)
      return tss_failure(ErrorCode::io, fmt::format("reading PCR {} of the TPM", pcr_), status);
    const Answer<TPML_PCR_SELECTION> owned_selection(selected);
    const Answer<TPML_DIGEST> owned_digests(digests);
    return value_of(*selected, *digests);
  }

private:
  [[nodiscard]] TPML_PCR_SELECTION selection() const {
    TPML_PCR_SELECTION wanted{};
    for (const Bank bank : banks_) {
      TPMS_PCR_SELECTION& entry = wanted.pcrSelections[wanted.count++];
      entry.hash = measure::tcg_algorithm(bank);
      entry.sizeofSelect = 3;
      entry.pcrSelect[pcr_ / 8] = static_cast<BYTE>(1u << (pcr_ % 8));
    }
    return wanted;
  }

  // The digests come in the order of the selected PCRs; a bank without the PCR has no digest.
  [[nodiscard]] Result<PcrValue> value_of(const TPML_PCR_SELECTION& selected,
                                          const TPML_DIGEST& digests) const {
    PcrValue value;
    std::size_t taken = 0;
    for (const TPMS_PCR_SELECTION& entry : std::span(selected.pcrSelections, selected.count)) {
      const std::optional<Bank> bank = bank_of(entry.hash);
      if (!selects(entry, pcr_) || taken >= digests.count)
        continue;
      if (!bank || !take_digest(value, *bank, digests.digests[taken++]))
        return failure(ErrorCode::integrity, fmt::format("reading PCR {} of the TPM", pcr_),
                       "the TPM answered with a bank or a size that was not asked for");
    }
    if (taken != banks_.size())
      return failure(ErrorCode::integrity, fmt::format("reading PCR {} of the TPM", pcr_),
                     fmt::format("the TPM answered for {} of {} banks", taken, banks_.size()));
    return value;
  }

  std::shared_ptr<EsysConnection> esys_;
  std::uint32_t pcr_;
  std::vector<Bank> banks_;
};

} // namespace

Result<HostTpm> open_host_tpm(const std::string& tcti, std::uint32_t pcr,
                              std::span<const std::uint32_t> seal_pcrs) {
  if (pcr < first_host_pcr || pcr > last_host_pcr)
    return failure(
        ErrorCode::invalid, "opening the TPM " + tcti,
        fmt::format("PCR {} is not one from {} to {}", pcr, first_host_pcr, last_host_pcr));
  const std::shared_ptr<EsysConnection> esys = TRY(EsysConnection::open(tcti));
  std::vector<Bank> banks = TRY(active_banks(esys->get(), pcr));
  HostTpm tpm;
  tpm.log = std::make_unique<EsysTpm>(esys, pcr, std::move(banks));
  tpm.quoter = TRY(make_esys_quoter(esys, pcr));
  tpm.vault = make_esys_vault(esys, seal_pcrs);
  return tpm;
}

} // namespace ashlar::tpm
