// SPDX-License-Identifier: LGPL-2.1-or-later
#include "esys.hpp"

#include <tss2/tss2_rc.h>
#include <tss2/tss2_tcti_device.h>
#include <tss2/tss2_tcti_swtpm.h>

#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

namespace ashlar::tpm {

namespace {

// tpm2-tss gives these as macros of C casts.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
void finish(TSS2_TCTI_CONTEXT* tcti) {
  Tss2_Tcti_Finalize(tcti);
}
constexpr TPM2_HANDLE first_transient = TPM2_TRANSIENT_FIRST;
constexpr TPM2_HANDLE first_loaded_session = TPM2_LOADED_SESSION_FIRST;
#pragma GCC diagnostic pop

using InitTcti = TSS2_RC (*)(TSS2_TCTI_CONTEXT*, std::size_t*, const char*);
using Tcti = std::unique_ptr<TSS2_TCTI_CONTEXT, FreeTcti>;

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

} // namespace

void FreeTcti::operator()(TSS2_TCTI_CONTEXT* tcti) const {
  finish(tcti);
  std::free(tcti);
}

std::unexpected<Error> tss_failure(ErrorCode code, std::string doing, TSS2_RC status) {
  return failure(code, std::move(doing), fmt::format("{} ({:#x})", Tss2_RC_Decode(status), status));
}

Result<std::shared_ptr<EsysConnection>> EsysConnection::open(const std::string& tcti_name) {
  const std::string doing = "opening the TPM " + tcti_name;
  Tcti tcti = TRY(open_tcti(tcti_name, doing));
  ESYS_CONTEXT* context = nullptr;
  if (const TSS2_RC status = Esys_Initialize(&context, tcti.get(), nullptr);
      status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  std::shared_ptr<EsysConnection> connection(new EsysConnection(std::move(tcti), Esys(context)));
  TRY(connection->flush_all());
  return connection;
  // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was allocated goes with its owner, tcti
}

Result<std::vector<TPM2_HANDLE>> EsysConnection::handles_from(TPM2_HANDLE first) const {
  TPMI_YES_NO more = TPM2_NO;
  TPMS_CAPABILITY_DATA* data = nullptr;
  const TSS2_RC status =
      Esys_GetCapability(get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES, first,
                         TPM2_MAX_CAP_HANDLES, &more, &data);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, "asking the TPM for its loaded objects", status);
  const Answer<TPMS_CAPABILITY_DATA> answer(data);
  const TPML_HANDLE& found = answer->data.handles;
  return std::vector<TPM2_HANDLE>(found.handle, found.handle + found.count);
}

Status EsysConnection::flush_all() {
  for (const TPM2_HANDLE first : {first_transient, first_loaded_session})
    for (const TPM2_HANDLE handle : TRY(handles_from(first))) {
      ESYS_TR object = ESYS_TR_NONE;
      TSS2_RC status =
          Esys_TR_FromTPMPublic(get(), handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &object);
      if (status == TSS2_RC_SUCCESS)
        status = Esys_FlushContext(get(), object);
      if (status != TSS2_RC_SUCCESS)
        return tss_failure(ErrorCode::io,
                           fmt::format("flushing object {:#x}, which a process before this one "
                                       "left in the TPM",
                                       handle),
                           status);
    }
  return {};
}

Result<Primary> create_primary(const std::shared_ptr<EsysConnection>& esys, ESYS_TR hierarchy,
                               const TPM2B_PUBLIC& area, const std::string& doing) {
  const TPM2B_SENSITIVE_CREATE sensitive{};
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION creation_pcrs{};
  ESYS_TR handle = ESYS_TR_NONE;
  TPM2B_PUBLIC* made = nullptr;
  const TSS2_RC status = Esys_CreatePrimary(
      esys->get(), hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &area,
      &outside, &creation_pcrs, &handle, &made, nullptr, nullptr, nullptr);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  return Primary{EsysObject(esys, handle), Answer<TPM2B_PUBLIC>(made)};
}

TPM2B_PUBLIC ecc_template(TPMA_OBJECT attributes, const TPMT_SYM_DEF_OBJECT& symmetric,
                          const TPMT_ECC_SCHEME& scheme) {
  TPM2B_PUBLIC area{};
  area.publicArea.type = TPM2_ALG_ECC;
  area.publicArea.nameAlg = TPM2_ALG_SHA256;
  area.publicArea.objectAttributes = attributes | TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                     TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                     TPMA_OBJECT_RESTRICTED;
  TPMS_ECC_PARMS& parameters = area.publicArea.parameters.eccDetail;
  parameters.symmetric = symmetric;
  parameters.scheme = scheme;
  parameters.curveID = TPM2_ECC_NIST_P256;
  parameters.kdf.scheme = TPM2_ALG_NULL;
  return area;
}

TPML_PCR_SELECTION sha256_selection(std::span<const std::uint32_t> pcrs) {
  TPML_PCR_SELECTION selection{};
  selection.count = 1;
  TPMS_PCR_SELECTION& entry = selection.pcrSelections[0];
  entry.hash = TPM2_ALG_SHA256;
  entry.sizeofSelect = 3;
  for (const std::uint32_t pcr : pcrs)
    entry.pcrSelect[pcr / 8] = static_cast<BYTE>(entry.pcrSelect[pcr / 8] | (1u << (pcr % 8)));
  return selection;
}

} // namespace ashlar::tpm
