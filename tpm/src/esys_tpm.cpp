// SPDX-License-Identifier: LGPL-2.1-or-later
// The hardware TPM through tpm2-tss. Commands and structures: TCG TPM 2.0 Library, part 3.
#include "ashlar/tpm/hardware_tpm.hpp"

#include <tss2/tss2_esys.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tcti_device.h>
#include <tss2/tss2_tcti_swtpm.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace ashlar::tpm {

namespace {

using measure::Bank;

// tpm2-tss gives these as macros of C casts.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
void finish(TSS2_TCTI_CONTEXT* tcti) {
  Tss2_Tcti_Finalize(tcti);
}
#pragma GCC diagnostic pop

struct FreeTcti {
  void operator()(TSS2_TCTI_CONTEXT* tcti) const {
    finish(tcti);
    std::free(tcti);
  }
};
using Tcti = std::unique_ptr<TSS2_TCTI_CONTEXT, FreeTcti>;

struct FinishEsys {
  void operator()(ESYS_CONTEXT* context) const { Esys_Finalize(&context); }
};
using Esys = std::unique_ptr<ESYS_CONTEXT, FinishEsys>;

struct FreeAnswer {
  void operator()(void* memory) const { Esys_Free(memory); }
};
template <typename T>
using Answer = std::unique_ptr<T, FreeAnswer>;

std::unexpected<Error> tss_failure(ErrorCode code, std::string doing, TSS2_RC status) {
  return failure(code, std::move(doing), fmt::format("{} ({:#x})", Tss2_RC_Decode(status), status));
}

TPMI_ALG_HASH algorithm_of(Bank bank) {
  switch (bank) {
  case Bank::sha1:
    return TPM2_ALG_SHA1;
  case Bank::sha256:
    return TPM2_ALG_SHA256;
  case Bank::sha384:
    break;
  }
  return TPM2_ALG_SHA384;
}

std::optional<Bank> bank_of(TPMI_ALG_HASH algorithm) {
  for (const Bank bank : measure::all_banks)
    if (algorithm_of(bank) == algorithm)
      return bank;
  return std::nullopt;
}

bool selects(const TPMS_PCR_SELECTION& selection, std::uint32_t pcr) {
  return pcr / 8 < selection.sizeofSelect && (selection.pcrSelect[pcr / 8] >> (pcr % 8) & 1) != 0;
}

using InitTcti = TSS2_RC (*)(TSS2_TCTI_CONTEXT*, std::size_t*, const char*);

// The library says how much memory a TCTI wants, and initialises what it is given.
Result<Tcti> make_tcti(InitTcti init, const std::string& settings, const std::string& doing) {
  std::size_t size = 0;
  if (const TSS2_RC status = init(nullptr, &size, settings.c_str()); status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  auto* const memory = static_cast<TSS2_TCTI_CONTEXT*>(std::calloc(1, size));
  if (!memory)
    return failure(ErrorCode::io, doing, "no memory");
  if (const TSS2_RC status = init(memory, &size, settings.c_str()); status != TSS2_RC_SUCCESS) {
    std::free(memory);
    return tss_failure(ErrorCode::io, doing, status);
  }
  return Tcti(memory);
}

Result<Tcti> open_tcti(const std::string& name, const std::string& doing) {
  constexpr std::string_view device = "device:";
  constexpr std::string_view emulator = "swtpm:";
  if (name.starts_with(device))
    return make_tcti(Tss2_Tcti_Device_Init, name.substr(device.size()), doing);
  if (name.starts_with(emulator))
    return make_tcti(Tss2_Tcti_Swtpm_Init, name.substr(emulator.size()), doing);
  return failure(ErrorCode::invalid, doing,
                 "a TPM is named \"device:PATH\" or \"swtpm:host=ADDRESS,port=NUMBER\"");
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
  out.hashAlg = algorithm_of(bank);
  BYTE* const target = bank == Bank::sha1     ? out.digest.sha1
                       : bank == Bank::sha256 ? out.digest.sha256
                                              : out.digest.sha384;
  std::ranges::transform(digests.of(bank), target,
                         [](std::byte value) { return std::to_integer<BYTE>(value); });
}

bool take_digest(PcrValue& value, Bank bank, const TPM2B_DIGEST& digest) {
  const auto store = [&digest](auto& out) {
    if (digest.size != out.size())
      return false;
    std::ranges::transform(std::span(digest.buffer, digest.size), out.begin(),
                           [](BYTE byte) { return std::byte{byte}; });
    return true;
  };
  switch (bank) {
  case Bank::sha1:
    return store(value.sha1);
  case Bank::sha256:
    return store(value.sha256);
  case Bank::sha384:
    break;
  }
  return store(value.sha384);
}

class EsysTpm final : public HardwareTpm {
public:
  EsysTpm(Tcti tcti, Esys esys, std::uint32_t pcr, std::vector<Bank> banks)
      : tcti_(std::move(tcti)), esys_(std::move(esys)), pcr_(pcr), banks_(std::move(banks)) {}

  [[nodiscard]] std::span<const Bank> banks() const override { return banks_; }

  [[nodiscard]] Status extend(const measure::Digests& digests) override {
    TPML_DIGEST_VALUES values{};
    for (const Bank bank : banks_)
      copy_digest(values.digests[values.count++], bank, digests);
    // ESYS numbers the PCRs' objects as the PCRs themselves; their authorisation value is empty.
    const TSS2_RC status = Esys_PCR_Extend(esys_.get(), ESYS_TR_PCR0 + pcr_, ESYS_TR_PASSWORD,
                                           ESYS_TR_NONE, ESYS_TR_NONE, &values);
    if (status != TSS2_RC_SUCCESS)
      return tss_failure(ErrorCode::io, fmt::format("extending PCR {} of the TPM", pcr_), status);
    return {};
  }

  [[nodiscard]] Result<PcrValue> read() override {
    TPML_PCR_SELECTION* selected = nullptr;
    TPML_DIGEST* digests = nullptr;
    const TPML_PCR_SELECTION wanted = selection();
    const TSS2_RC status = Esys_PCR_Read(esys_.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
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
      entry.hash = algorithm_of(bank);
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

  Tcti tcti_; // outlives esys_, which uses it
  Esys esys_;
  std::uint32_t pcr_;
  std::vector<Bank> banks_;
};

} // namespace

Result<std::unique_ptr<HardwareTpm>> open_esys_tpm(const std::string& tcti_name,
                                                   std::uint32_t pcr) {
  const std::string doing = "opening the TPM " + tcti_name;
  if (pcr < first_host_pcr || pcr > last_host_pcr)
    return failure(
        ErrorCode::invalid, doing,
        fmt::format("PCR {} is not one from {} to {}", pcr, first_host_pcr, last_host_pcr));
  Tcti tcti = TRY(open_tcti(tcti_name, doing));
  ESYS_CONTEXT* context = nullptr;
  if (const TSS2_RC status = Esys_Initialize(&context, tcti.get(), nullptr);
      status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  Esys esys(context);
  std::vector<Bank> banks = TRY(active_banks(esys.get(), pcr));
  return std::make_unique<EsysTpm>(std::move(tcti), std::move(esys), pcr, std::move(banks));
}

} // namespace ashlar::tpm
