// SPDX-License-Identifier: LGPL-2.1-or-later
// The TPM's endorsement key: templates and NV indices of the TCG EK Credential Profile, version 2.3
// and later ("Low Range": L-1 and L-2).
#include <tss2/tss2_mu.h>

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "ashlar/tpm/evidence_message.hpp"
#include "esys.hpp"
#include "esys_parts.hpp"

namespace ashlar::tpm {

namespace {

enum class EkKind { rsa, ecc };

constexpr TPM2_HANDLE rsa_certificate_index = 0x01c00002;
constexpr TPM2_HANDLE ecc_certificate_index = 0x01c0000a;
constexpr const char* doing_activate = "activating a credential";

/// TPM2_PolicySecret(TPM_RH_ENDORSEMENT): both templates have it.
constexpr std::array<BYTE, 32> policy_a = {
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};

TPMT_SYM_DEF_OBJECT aes_128_cfb() {
  constexpr std::uint16_t key_bits = 128;
  TPMT_SYM_DEF_OBJECT symmetric{};
  symmetric.algorithm = TPM2_ALG_AES;
  symmetric.keyBits.aes = key_bits;
  symmetric.mode.aes = TPM2_ALG_CFB;
  return symmetric;
}

TPM2B_PUBLIC ek_template(EkKind kind) {
  constexpr std::uint16_t rsa_bits = 2048;
  constexpr std::uint16_t coordinate_bytes = 32;
  TPMT_ECC_SCHEME scheme{};
  scheme.scheme = TPM2_ALG_NULL;
  TPM2B_PUBLIC area = ecc_template(TPMA_OBJECT_DECRYPT, aes_128_cfb(), scheme);
  TPMT_PUBLIC& key = area.publicArea;
  key.objectAttributes =
      (key.objectAttributes & ~TPMA_OBJECT_USERWITHAUTH) | TPMA_OBJECT_ADMINWITHPOLICY;
  key.authPolicy.size = policy_a.size();
  std::ranges::copy(policy_a, key.authPolicy.buffer);
  // Zeros of the key's size: they are part of the template, and so of the key.
  key.unique.ecc.x.size = coordinate_bytes;
  key.unique.ecc.y.size = coordinate_bytes;
  if (kind == EkKind::ecc)
    return area;
  key.type = TPM2_ALG_RSA;
  key.parameters = {};
  key.parameters.rsaDetail.symmetric = aes_128_cfb();
  key.parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
  key.parameters.rsaDetail.keyBits = rsa_bits;
  key.unique = {};
  key.unique.rsa.size = rsa_bits / 8;
  return area;
}

Result<bool> has_index(const EsysConnection& esys, TPM2_HANDLE index) {
  const std::vector<TPM2_HANDLE> handles = TRY(esys.handles_from(index));
  return !handles.empty() && handles.front() == index;
}

/// The key that the maker certified; the ECC one also where there is no certificate: it is made
/// faster.
Result<EkKind> kind_of(const EsysConnection& esys) {
  if (TRY(has_index(esys, ecc_certificate_index)) || !TRY(has_index(esys, rsa_certificate_index)))
    return EkKind::ecc;
  return EkKind::rsa;
}

/// An NV index that anybody may read, in the pieces that the TPM gives at once.
Result<std::vector<std::byte>> read_index(const std::shared_ptr<EsysConnection>& esys,
                                          TPM2_HANDLE index) {
  constexpr std::uint16_t piece = 512; // every TPM gives so much
  const std::string doing = fmt::format("reading the EK certificate at NV index {:#x}", index);
  ESYS_TR handle = ESYS_TR_NONE;
  TSS2_RC status =
      Esys_TR_FromTPMPublic(esys->get(), index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &handle);
  TPM2B_NV_PUBLIC* area = nullptr;
  if (status == TSS2_RC_SUCCESS)
    status = Esys_NV_ReadPublic(esys->get(), handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                &area, nullptr);
  const Answer<TPM2B_NV_PUBLIC> owned_area(area);
  const std::uint16_t size = area ? area->nvPublic.dataSize : 0;
  std::vector<std::byte> out;
  while (status == TSS2_RC_SUCCESS && out.size() < size) {
    const auto at = static_cast<std::uint16_t>(out.size());
    TPM2B_MAX_NV_BUFFER* data = nullptr;
    status = Esys_NV_Read(esys->get(), handle, handle, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                          std::min<std::uint16_t>(piece, static_cast<std::uint16_t>(size - at)), at,
                          &data);
    const Answer<TPM2B_MAX_NV_BUFFER> owned(data);
    if (status != TSS2_RC_SUCCESS || data->size == 0)
      break;
    const auto bytes = std::as_bytes(std::span(data->buffer, data->size));
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  if (handle != ESYS_TR_NONE)
    Esys_TR_Close(esys->get(), &handle);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing, status);
  if (out.size() != size)
    return failure(ErrorCode::io, doing, "the TPM gives less than its size");
  return out;
}

/// A DER value without what follows it: makers leave their NV index longer than the certificate.
std::vector<std::byte> der_value(std::vector<std::byte> bytes) {
  constexpr std::size_t header_bytes = 4; // SEQUENCE, 0x82, u16 length: all certificates are so
  const auto at = [&bytes](std::size_t i) { return std::to_integer<std::size_t>(bytes[i]); };
  if (bytes.size() < header_bytes || at(0) != 0x30 || at(1) != 0x82)
    return {};
  const std::size_t size = header_bytes + (at(2) << 8 | at(3));
  if (size > bytes.size())
    return {};
  bytes.resize(size);
  return bytes;
}

/// The session by which the endorsement key may be used: its policy.
Result<EsysObject> endorsement_session(const std::shared_ptr<EsysConnection>& esys) {
  TPMT_SYM_DEF symmetric{};
  symmetric.algorithm = TPM2_ALG_NULL;
  ESYS_TR handle = ESYS_TR_NONE;
  TSS2_RC status = Esys_StartAuthSession(esys->get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                         ESYS_TR_NONE, ESYS_TR_NONE, nullptr, TPM2_SE_POLICY,
                                         &symmetric, TPM2_ALG_SHA256, &handle);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing_activate, status);
  EsysObject session(esys, handle);
  // One session object for one command; without this attribute it ends with the command, and the
  // flush at the end of EsysObject would find none.
  status = Esys_TRSess_SetAttributes(esys->get(), handle, TPMA_SESSION_CONTINUESESSION,
                                     TPMA_SESSION_CONTINUESESSION);
  if (status == TSS2_RC_SUCCESS)
    status = Esys_PolicySecret(esys->get(), ESYS_TR_RH_ENDORSEMENT, handle, ESYS_TR_PASSWORD,
                               ESYS_TR_NONE, ESYS_TR_NONE, nullptr, nullptr, nullptr, 0, nullptr,
                               nullptr);
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing_activate, status);
  return session;
}

template <typename T, typename Unmarshal>
Result<T> read_whole(std::span<const std::byte> bytes, Unmarshal unmarshal, const char* what) {
  T value{};
  std::size_t at = 0;
  const TSS2_RC status =
      unmarshal(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), &at, &value);
  if (status != TSS2_RC_SUCCESS || at != bytes.size())
    return failure(ErrorCode::invalid, doing_activate, fmt::format("it has no {}", what));
  return value;
}

} // namespace

Result<Endorsement> read_endorsement(const std::shared_ptr<EsysConnection>& esys) {
  const std::string doing = "making the TPM's endorsement key";
  const EkKind kind = TRY(kind_of(*esys));
  const Primary key = TRY(create_primary(esys, ESYS_TR_RH_ENDORSEMENT, ek_template(kind), doing));
  Endorsement out;
  out.public_key = TRY(marshalled(*key.public_area, Tss2_MU_TPM2B_PUBLIC_Marshal, doing));
  const TPM2_HANDLE index = kind == EkKind::rsa ? rsa_certificate_index : ecc_certificate_index;
  if (TRY(has_index(*esys, index)))
    out.certificate = der_value(TRY(read_index(esys, index)));
  return out;
}

Result<std::vector<std::byte>> activate_credential(const std::shared_ptr<EsysConnection>& esys,
                                                   ESYS_TR key,
                                                   std::span<const std::byte> credential,
                                                   std::span<const std::byte> secret) {
  const auto id = TRY(read_whole<TPM2B_ID_OBJECT>(credential, Tss2_MU_TPM2B_ID_OBJECT_Unmarshal,
                                                  "TPM2B_ID_OBJECT"));
  const auto encrypted = TRY(read_whole<TPM2B_ENCRYPTED_SECRET>(
      secret, Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal, "TPM2B_ENCRYPTED_SECRET"));
  const EkKind kind = TRY(kind_of(*esys));
  const Primary ek =
      TRY(create_primary(esys, ESYS_TR_RH_ENDORSEMENT, ek_template(kind), doing_activate));
  const EsysObject session = TRY(endorsement_session(esys));
  TPM2B_DIGEST* answer = nullptr;
  const TSS2_RC status =
      Esys_ActivateCredential(esys->get(), key, ek.object.get(), ESYS_TR_PASSWORD, session.get(),
                              ESYS_TR_NONE, &id, &encrypted, &answer);
  // A credential for another key, and one that is damaged, fail in the same way: the TPM's codes
  // for it (INTEGRITY, SIZE, VALUE, CURVE, ECC_POINT) are all of format one.
  if ((status & TSS2_RC_LAYER_MASK) == TSS2_TPM_RC_LAYER && (status & TPM2_RC_FMT1) != 0)
    return failure(ErrorCode::denied, doing_activate,
                   "it was made for another attestation or endorsement key");
  if (status != TSS2_RC_SUCCESS)
    return tss_failure(ErrorCode::io, doing_activate, status);
  const Answer<TPM2B_DIGEST> owned(answer);
  const auto bytes = std::as_bytes(std::span(answer->buffer, answer->size));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

} // namespace ashlar::tpm
