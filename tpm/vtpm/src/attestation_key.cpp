// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/vtpm/attestation_key.hpp"

#include <fmt/format.h>

#include "ashlar/vtpm/commands.hpp"

namespace ashlar::vtpm {

namespace {

constexpr const char* doing = "looking at the guest's attestation key";
constexpr std::uint32_t cc_read_public = 0x173;
constexpr std::uint32_t cc_quote = 0x158;
constexpr std::size_t code_at = 6;
// TPM_RC_RETRY: the command was not begun, and is to be sent again; Linux' driver does so too.
constexpr std::uint32_t rc_retry = 0x922;
constexpr int max_attempts = 8;

// TPMA_OBJECT (TPM 2.0 Library part 2).
constexpr std::uint32_t fixed_tpm = 1U << 1;
constexpr std::uint32_t fixed_parent = 1U << 4;
constexpr std::uint32_t sensitive_data_origin = 1U << 5;
constexpr std::uint32_t restricted = 1U << 16;
constexpr std::uint32_t decrypt = 1U << 17;
constexpr std::uint32_t sign = 1U << 18;
constexpr std::uint32_t wanted =
    fixed_tpm | fixed_parent | sensitive_data_origin | restricted | sign;

template <typename Number>
Number number_at(std::span<const std::byte> bytes, std::size_t at) {
  Number value = 0;
  for (const std::byte byte : bytes.subspan(at, sizeof value))
    value = static_cast<Number>(value << 8 | std::to_integer<Number>(byte));
  return value;
}

std::vector<std::byte> bytes_of(std::uint32_t handle) {
  std::vector<std::byte> out;
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::byte>(handle >> shift));
  return out;
}

/// A quote of no PCR: only a key whose private part is in the TPM gives it.
Status require_private_part(Engine& engine, std::uint32_t handle) {
  constexpr std::uint8_t after_handle[] = {
      0, 0,    0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0, // a password session, without a password
      0, 0,                                        // qualifying data: none
      0, 0x10,                                     // TPM_ALG_NULL: the key's own scheme
      0, 0,    0, 0};                              // PCRs: none
  std::vector<std::byte> body = bytes_of(handle);
  const auto rest = std::as_bytes(std::span(after_handle));
  body.insert(body.end(), rest.begin(), rest.end());
  const std::vector<std::byte> quote = command(tag_authorised, cc_quote, body);
  for (int attempt = 0; attempt < max_attempts; ++attempt) {
    const std::vector<std::byte> answer = TRY(engine.process(quote));
    if (answer.size() < code_at + sizeof(std::uint32_t))
      return failure(ErrorCode::internal, doing, "the TPM's answer is cut off");
    const auto code = number_at<std::uint32_t>(answer, code_at);
    if (code == 0)
      return {};
    if (code != rc_retry)
      return failure(ErrorCode::denied, doing,
                     fmt::format("the TPM does not quote by it: response code {:#x}", code));
  }
  return failure(ErrorCode::internal, doing, "the TPM is always busy");
}

} // namespace

Result<std::vector<std::byte>> attestation_key(Engine& engine, std::uint32_t handle) {
  constexpr std::size_t size_bytes = 2;
  constexpr std::size_t attributes_at = size_bytes + 2 + 2; // after type and name algorithm
  auto answer = run(engine, command(tag_plain, cc_read_public, bytes_of(handle)), doing);
  if (!answer)
    return failure(ErrorCode::denied, doing, answer.error().why);
  if (answer->size() < attributes_at + sizeof(std::uint32_t))
    return failure(ErrorCode::internal, doing, "the TPM's answer is cut off");
  const std::size_t size = size_bytes + number_at<std::uint16_t>(*answer, 0);
  if (size < attributes_at + sizeof(std::uint32_t) || size > answer->size())
    return failure(ErrorCode::internal, doing, "the TPM's answer is cut off");
  answer->resize(size); // the names follow
  const auto attributes = number_at<std::uint32_t>(*answer, attributes_at);
  if ((attributes & (wanted | decrypt)) != wanted)
    return failure(ErrorCode::denied, doing,
                   fmt::format("its attributes {:#x} are not those of a restricted signing key "
                               "that cannot leave its TPM",
                               attributes));
  TRY(require_private_part(engine, handle));
  return *std::move(answer);
}

} // namespace ashlar::vtpm
