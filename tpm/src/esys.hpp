// SPDX-License-Identifier: LGPL-2.1-or-later
// The one connection to the TPM, by tpm2-tss's ESYS, and owners for what it hands out. Commands and
// structures: TCG TPM 2.0 Library, parts 2 and 3.
#pragma once

#include <tss2/tss2_esys.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::tpm {

struct FreeTcti {
  void operator()(TSS2_TCTI_CONTEXT* tcti) const;
};
struct FinishEsys {
  void operator()(ESYS_CONTEXT* context) const { Esys_Finalize(&context); }
};
struct FreeAnswer {
  void operator()(void* memory) const { Esys_Free(memory); }
};
/// What ESYS allocated for an answer.
template <typename T>
using Answer = std::unique_ptr<T, FreeAnswer>;

[[nodiscard]] std::unexpected<Error> tss_failure(ErrorCode code, std::string doing, TSS2_RC status);

class EsysConnection {
public:
  /// Opens the TPM and flushes what a process before this one left in it: the TPM has room for
  /// three objects, and is this program's alone. Errors: invalid (the name), io.
  [[nodiscard]] static Result<std::shared_ptr<EsysConnection>> open(const std::string& tcti_name);
  [[nodiscard]] ESYS_CONTEXT* get() const { return esys_.get(); }
  /// The handles that are in use, from `first` to the end of its range. Errors: io.
  [[nodiscard]] Result<std::vector<TPM2_HANDLE>> handles_from(TPM2_HANDLE first) const;

private:
  using Tcti = std::unique_ptr<TSS2_TCTI_CONTEXT, FreeTcti>;
  using Esys = std::unique_ptr<ESYS_CONTEXT, FinishEsys>;
  EsysConnection(Tcti tcti, Esys esys) : tcti_(std::move(tcti)), esys_(std::move(esys)) {}
  [[nodiscard]] Status flush_all();

  Tcti tcti_; // outlives esys_, which uses it
  Esys esys_;
};

/// A transient object or a session in the TPM, flushed at its end.
class EsysObject {
public:
  EsysObject(std::shared_ptr<EsysConnection> esys, ESYS_TR handle)
      : esys_(std::move(esys)), handle_(handle) {}
  EsysObject(EsysObject&& other) noexcept
      : esys_(std::move(other.esys_)), handle_(std::exchange(other.handle_, ESYS_TR_NONE)) {}
  EsysObject& operator=(EsysObject&&) = delete;
  ~EsysObject() {
    if (handle_ != ESYS_TR_NONE)
      Esys_FlushContext(esys_->get(), handle_);
  }
  [[nodiscard]] ESYS_TR get() const { return handle_; }

private:
  std::shared_ptr<EsysConnection> esys_;
  ESYS_TR handle_;
};

struct Primary {
  EsysObject object;
  Answer<TPM2B_PUBLIC> public_area;
};
/// Makes the primary key of a template; the same template gives the same key until the hierarchy is
/// cleared. Errors: io.
[[nodiscard]] Result<Primary> create_primary(const std::shared_ptr<EsysConnection>& esys,
                                             ESYS_TR hierarchy, const TPM2B_PUBLIC& area,
                                             const std::string& doing);
/// The template of an ECC P-256 primary key with these attributes.
[[nodiscard]] TPM2B_PUBLIC ecc_template(TPMA_OBJECT attributes,
                                        const TPMT_SYM_DEF_OBJECT& symmetric,
                                        const TPMT_ECC_SCHEME& scheme);

/// These PCRs in the SHA-256 bank.
[[nodiscard]] TPML_PCR_SELECTION sha256_selection(std::span<const std::uint32_t> pcrs);

/// A structure as the TPM sends it; `marshal` is the Tss2_MU function for it.
template <typename T, typename Marshal>
[[nodiscard]] Result<std::vector<std::byte>> marshalled(const T& value, Marshal marshal,
                                                        const std::string& doing) {
  std::vector<std::byte> bytes(sizeof(T));
  std::size_t size = 0;
  const TSS2_RC status =
      marshal(&value, reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size(), &size);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::internal, doing, status);
  bytes.resize(size);
  return bytes;
}

} // namespace ashlar::tpm
