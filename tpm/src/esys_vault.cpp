// SPDX-License-Identifier: LGPL-2.1-or-later
#include <openssl/crypto.h>
#include <tss2/tss2_mu.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "esys.hpp"
#include "esys_parts.hpp"

namespace ashlar::tpm {

namespace {

/// An NV index of ours: what it is and how it must be defined.
struct NvIndex {
  TPM2_HANDLE handle;
  TPMA_NV attributes;
  std::uint16_t bytes;
};
/// The owner's range begins with 0x01800000; docs/decisions/0008-sealing.md has both for admins.
constexpr TPMA_NV owner_alone = TPMA_NV_OWNERWRITE | TPMA_NV_OWNERREAD | TPMA_NV_NO_DA;
constexpr NvIndex counter_index{.handle = 0x01a5111a,
                                .attributes = owner_alone | TPM2_NT_COUNTER
                                                                << TPMA_NV_TPM2_NT_SHIFT,
                                .bytes = 8};
/// Never written: that it is defined says all.
constexpr NvIndex mark_index{.handle = 0x01a5111b, .attributes = owner_alone, .bytes = 1};

constexpr const char* doing_seal = "sealing the key of the vTPM keys to the TPM";
constexpr const char* doing_unseal = "unsealing the key of the vTPM keys";
constexpr const char* doing_count = "counting up the TPM's counter of the vTPM keys";
constexpr const char* doing_mark = "marking in the TPM that the vTPM keys are begun";

/// Of the format-one codes (part 2, "Response Codes"): without the number of the argument.
bool is_format_one(TSS2_RC status, TSS2_RC wanted) {
  constexpr TSS2_RC argument_mask = 0xbf;
  return (status & TSS2_RC_LAYER_MASK) == TSS2_TPM_RC_LAYER && (status & argument_mask) == wanted;
}

TPMT_SYM_DEF_OBJECT aes_cfb() {
  constexpr std::uint16_t key_bits = 128; // what every TPM of the PC Client profile has
  TPMT_SYM_DEF_OBJECT symmetric{};
  symmetric.algorithm = TPM2_ALG_AES;
  symmetric.keyBits.aes = key_bits;
  symmetric.mode.aes = TPM2_ALG_CFB;
  return symmetric;
}

Result<Primary> storage_primary(const std::shared_ptr<EsysConnection>& esys) {
  TPMT_ECC_SCHEME scheme{};
  scheme.scheme = TPM2_ALG_NULL;
  return create_primary(esys, ESYS_TR_RH_OWNER,
                        ecc_template(TPMA_OBJECT_DECRYPT | TPMA_OBJECT_NODA, aes_cfb(), scheme),
                        "making the TPM's storage key");
}

/// What is sealed: opened by the policy alone, by no password.
TPM2B_PUBLIC sealed_template(const TPM2B_DIGEST& policy) {
  TPM2B_PUBLIC area{};
  area.publicArea.type = TPM2_ALG_KEYEDHASH;
  area.publicArea.nameAlg = TPM2_ALG_SHA256;
  area.publicArea.objectAttributes =
      TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA;
  area.publicArea.authPolicy = policy;
  area.publicArea.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
  return area;
}

/// What ESYS remembers of an NV index, forgotten at its end; the index itself stays.
class NvHandle {
public:
  NvHandle(std::shared_ptr<EsysConnection> esys, ESYS_TR handle)
      : esys_(std::move(esys)), handle_(handle) {}
  NvHandle(NvHandle&& other) noexcept
      : esys_(std::move(other.esys_)), handle_(std::exchange(other.handle_, ESYS_TR_NONE)) {}
  NvHandle& operator=(NvHandle&&) = delete;
  ~NvHandle() {
    if (handle_ != ESYS_TR_NONE)
      Esys_TR_Close(esys_->get(), &handle_);
  }
  [[nodiscard]] ESYS_TR get() const { return handle_; }
  /// ESYS has forgotten it by itself: the index is gone.
  void release() { handle_ = ESYS_TR_NONE; }

private:
  std::shared_ptr<EsysConnection> esys_;
  ESYS_TR handle_;
};

class EsysVault final : public Vault {
public:
  EsysVault(std::shared_ptr<EsysConnection> esys, const TPML_PCR_SELECTION& selection)
      : esys_(std::move(esys)), selection_(selection) {}

  [[nodiscard]] Result<std::vector<std::byte>> seal(const SealedKey& key) override;
  [[nodiscard]] Result<SealedKey> unseal(std::span<const std::byte> object) override;
  [[nodiscard]] Result<std::optional<std::uint64_t>> counter() override;
  [[nodiscard]] Status count_up() override;
  [[nodiscard]] Result<bool> marked() override;
  [[nodiscard]] Status mark() override;
  [[nodiscard]] Status unmark() override;

private:
  [[nodiscard]] Result<EsysObject> session(TPM2_SE kind, ESYS_TR salt_key, TPMA_SESSION attributes);
  [[nodiscard]] Status satisfy_pcrs(const EsysObject& policy, const char* doing);
  [[nodiscard]] Result<TPM2B_DIGEST> policy_digest();
  [[nodiscard]] Result<EsysObject> load(ESYS_TR parent, std::span<const std::byte> object);
  [[nodiscard]] Result<bool> exists(const NvIndex& index) const;
  [[nodiscard]] Result<NvHandle> open(const NvIndex& index, const char* doing);
  [[nodiscard]] Status define(const NvIndex& index, const char* doing);

  std::shared_ptr<EsysConnection> esys_;
  TPML_PCR_SELECTION selection_;
};

// The salt is for the TPM's eyes only, so that the key does not cross the bus in the clear.
Result<EsysObject> EsysVault::session(TPM2_SE kind, ESYS_TR salt_key, TPMA_SESSION attributes) {
  const std::string doing = "starting a session with the TPM";
  TPMT_SYM_DEF symmetric{};
  symmetric.algorithm = salt_key == ESYS_TR_NONE ? TPM2_ALG_NULL : TPM2_ALG_AES;
  symmetric.keyBits.aes = aes_cfb().keyBits.aes;
  symmetric.mode.aes = TPM2_ALG_CFB;
  ESYS_TR handle = ESYS_TR_NONE;
  TSS2_RC status =
      Esys_StartAuthSession(esys_->get(), salt_key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                            ESYS_TR_NONE, nullptr, kind, &symmetric, TPM2_ALG_SHA256, &handle);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  EsysObject made(esys_, handle);
  const TPMA_SESSION flags = attributes | TPMA_SESSION_CONTINUESESSION;
  status = Esys_TRSess_SetAttributes(esys_->get(), handle, flags, flags);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  return made;
}

Status EsysVault::satisfy_pcrs(const EsysObject& policy, const char* doing) {
  const TPM2B_DIGEST present{}; // empty: whatever the PCRs hold now
  const TSS2_RC status = Esys_PolicyPCR(esys_->get(), policy.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                                        ESYS_TR_NONE, &present, &selection_);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  return {};
}

Result<TPM2B_DIGEST> EsysVault::policy_digest() {
  const EsysObject trial = TRY(session(TPM2_SE_TRIAL, ESYS_TR_NONE, 0));
  TRY(satisfy_pcrs(trial, doing_seal));
  TPM2B_DIGEST* digest = nullptr;
  const TSS2_RC status = Esys_PolicyGetDigest(esys_->get(), trial.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                                              ESYS_TR_NONE, &digest);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing_seal, status);
  return *Answer<TPM2B_DIGEST>(digest);
}

Result<std::vector<std::byte>> EsysVault::seal(const SealedKey& key) {
  const TPM2B_DIGEST policy = TRY(policy_digest());
  const Primary parent = TRY(storage_primary(esys_));
  const EsysObject salted = TRY(session(TPM2_SE_HMAC, parent.object.get(), TPMA_SESSION_DECRYPT));
  const TPM2B_PUBLIC area = sealed_template(policy);
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION creation_pcrs{};
  TPM2B_SENSITIVE_CREATE sensitive{};
  for (const std::byte byte : key)
    sensitive.sensitive.data.buffer[sensitive.sensitive.data.size++] = std::to_integer<BYTE>(byte);
  TPM2B_PRIVATE* private_part = nullptr;
  TPM2B_PUBLIC* public_part = nullptr;
  const TSS2_RC status = Esys_Create(esys_->get(), parent.object.get(), salted.get(), ESYS_TR_NONE,
                                     ESYS_TR_NONE, &sensitive, &area, &outside, &creation_pcrs,
                                     &private_part, &public_part, nullptr, nullptr, nullptr);
  OPENSSL_cleanse(&sensitive, sizeof sensitive);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing_seal, status);
  const Answer<TPM2B_PRIVATE> owned_private(private_part);
  const Answer<TPM2B_PUBLIC> owned_public(public_part);
  std::vector<std::byte> object =
      TRY(marshalled(*public_part, Tss2_MU_TPM2B_PUBLIC_Marshal, doing_seal));
  const std::vector<std::byte> rest =
      TRY(marshalled(*private_part, Tss2_MU_TPM2B_PRIVATE_Marshal, doing_seal));
  object.insert(object.end(), rest.begin(), rest.end());
  return object;
}

Result<EsysObject> EsysVault::load(ESYS_TR parent, std::span<const std::byte> object) {
  TPM2B_PUBLIC public_part{};
  TPM2B_PRIVATE private_part{};
  std::size_t at = 0;
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(object.data());
  TSS2_RC status = Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, object.size(), &at, &public_part);
  if (status == TSS2_RC_SUCCESS)
    status = Tss2_MU_TPM2B_PRIVATE_Unmarshal(bytes, object.size(), &at, &private_part);
  if (status != TSS2_RC_SUCCESS || at != object.size())
    return failure(ErrorCode::integrity, doing_unseal, "the sealed object is damaged");
  ESYS_TR handle = ESYS_TR_NONE;
  status = Esys_Load(esys_->get(), parent, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                     &private_part, &public_part, &handle);
  if (is_format_one(status, TPM2_RC_INTEGRITY))
    return failure(ErrorCode::integrity, doing_unseal,
                   "it was sealed by another TPM, or before this TPM was cleared");
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing_unseal, status);
  return EsysObject(esys_, handle);
}

Result<SealedKey> EsysVault::unseal(std::span<const std::byte> object) {
  const Primary parent = TRY(storage_primary(esys_));
  const EsysObject loaded = TRY(load(parent.object.get(), object));
  const EsysObject policy = TRY(session(TPM2_SE_POLICY, parent.object.get(), TPMA_SESSION_ENCRYPT));
  TRY(satisfy_pcrs(policy, doing_unseal));
  TPM2B_SENSITIVE_DATA* data = nullptr;
  const TSS2_RC status =
      Esys_Unseal(esys_->get(), loaded.get(), policy.get(), ESYS_TR_NONE, ESYS_TR_NONE, &data);
  if (is_format_one(status, TPM2_RC_POLICY_FAIL))
    return failure(ErrorCode::denied, doing_unseal,
                   "the machine did not start as it did when the key was sealed (--seal-pcrs): "
                   "start what was started then, or begin with an empty --key-store, where every "
                   "guest gets a new TPM");
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing_unseal, status);
  const Answer<TPM2B_SENSITIVE_DATA> owned(data);
  SealedKey key{};
  if (data->size != key.size())
    return failure(ErrorCode::integrity, doing_unseal, "the sealed object holds no such key");
  std::ranges::transform(std::span(data->buffer, data->size), key.begin(),
                         [](BYTE byte) { return std::byte{byte}; });
  OPENSSL_cleanse(data->buffer, data->size);
  return key;
}

Result<bool> EsysVault::exists(const NvIndex& index) const {
  const std::vector<TPM2_HANDLE> handles = TRY(esys_->handles_from(index.handle));
  return !handles.empty() && handles.front() == index.handle;
}

Result<NvHandle> EsysVault::open(const NvIndex& index, const char* doing) {
  ESYS_TR object = ESYS_TR_NONE;
  TSS2_RC status = Esys_TR_FromTPMPublic(esys_->get(), index.handle, ESYS_TR_NONE, ESYS_TR_NONE,
                                         ESYS_TR_NONE, &object);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  NvHandle handle(esys_, object);
  TPM2B_NV_PUBLIC* area = nullptr;
  status = Esys_NV_ReadPublic(esys_->get(), handle.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                              &area, nullptr);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  const Answer<TPM2B_NV_PUBLIC> owned(area);
  constexpr TPMA_NV written = TPMA_NV_WRITTEN;
  if ((area->nvPublic.attributes & ~written) != index.attributes)
    return failure(ErrorCode::integrity, doing,
                   fmt::format("NV index {:#x} is in use by something else: see "
                               "docs/decisions/0008-sealing.md",
                               index.handle));
  return handle;
}

Result<std::optional<std::uint64_t>> EsysVault::counter() {
  const char* const doing = "reading the TPM's counter of the vTPM keys";
  if (!TRY(exists(counter_index)))
    return std::nullopt;
  const NvHandle handle = TRY(open(counter_index, doing));
  TPM2B_MAX_NV_BUFFER* data = nullptr;
  const TSS2_RC status =
      Esys_NV_Read(esys_->get(), ESYS_TR_RH_OWNER, handle.get(), ESYS_TR_PASSWORD, ESYS_TR_NONE,
                   ESYS_TR_NONE, counter_index.bytes, 0, &data);
  // Defined, and not counted up yet: the process ended in between.
  if (status == TPM2_RC_NV_UNINITIALIZED)
    return std::nullopt;
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  const Answer<TPM2B_MAX_NV_BUFFER> owned(data);
  std::uint64_t value = 0;
  for (const BYTE byte : std::span(data->buffer, data->size))
    value = value << 8 | byte;
  return value;
}

Status EsysVault::define(const NvIndex& index, const char* doing) {
  const TPM2B_AUTH auth{};
  TPM2B_NV_PUBLIC area{};
  area.nvPublic.nvIndex = index.handle;
  area.nvPublic.nameAlg = TPM2_ALG_SHA256;
  area.nvPublic.attributes = index.attributes;
  area.nvPublic.dataSize = index.bytes;
  ESYS_TR handle = ESYS_TR_NONE;
  const TSS2_RC status = Esys_NV_DefineSpace(esys_->get(), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                             ESYS_TR_NONE, ESYS_TR_NONE, &auth, &area, &handle);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  const NvHandle defined(esys_, handle);
  return {};
}

Status EsysVault::count_up() {
  if (!TRY(exists(counter_index)))
    TRY(define(counter_index, "making the TPM's counter of the vTPM keys"));
  const NvHandle handle = TRY(open(counter_index, doing_count));
  const TSS2_RC status = Esys_NV_Increment(esys_->get(), ESYS_TR_RH_OWNER, handle.get(),
                                           ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing_count, status);
  return {};
}

// An index that somebody else defined there must not pass for the mark: it would never go.
Result<bool> EsysVault::marked() {
  if (!TRY(exists(mark_index)))
    return false;
  TRY(open(mark_index, doing_mark));
  return true;
}

Status EsysVault::mark() {
  if (TRY(marked()))
    return {};
  return define(mark_index, doing_mark);
}

Status EsysVault::unmark() {
  if (!TRY(exists(mark_index)))
    return {};
  NvHandle handle = TRY(open(mark_index, doing_mark));
  const TSS2_RC status = Esys_NV_UndefineSpace(esys_->get(), ESYS_TR_RH_OWNER, handle.get(),
                                               ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing_mark, status);
  handle.release();
  return {};
}

} // namespace

std::unique_ptr<Vault> make_esys_vault(std::shared_ptr<EsysConnection> esys,
                                       std::span<const std::uint32_t> pcrs) {
  return std::make_unique<EsysVault>(std::move(esys), sha256_selection(pcrs));
}

} // namespace ashlar::tpm
