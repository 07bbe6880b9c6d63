// SPDX-License-Identifier: LGPL-2.1-or-later
// TPMS_ATTEST and TPMT_SIGNATURE.
#include <fmt/format.h>

#include <algorithm>

#include "ashlar/evidence/limits.hpp"
#include "ashlar/evidence/tpm_structures.hpp"
#include "big_endian.hpp"

namespace ashlar::evidence {

namespace {

constexpr std::uint32_t generated_value = 0xFF544347; // TPM_GENERATED_VALUE
constexpr std::uint16_t attest_quote = 0x8018;        // TPM_ST_ATTEST_QUOTE
constexpr std::size_t max_select_bytes = 4;           // PCRs 0 to 31

PcrSelection read_selection(BigEndianReader& reader) {
  PcrSelection selection;
  selection.hash = reader.u16();
  const std::uint8_t size = reader.u8();
  if (size > max_select_bytes)
    reader.reject(fmt::format("a PCR selection of {} bytes", size));
  std::uint32_t pcr = 0;
  for (const std::byte byte : reader.raw(size))
    for (unsigned bit = 0; bit < 8; ++bit, ++pcr)
      if ((std::to_integer<unsigned>(byte) >> bit & 1u) != 0)
        selection.pcrs.insert(pcr);
  return selection;
}

void read_attested_quote(BigEndianReader& reader, QuoteMessage& into) {
  const std::uint32_t count = reader.u32();
  if (count > max_pcr_selections)
    reader.reject(
        fmt::format("{} PCR selections, above the limit of {}", count, max_pcr_selections));
  for (std::uint32_t i = 0; reader.good() && i < count; ++i)
    if (PcrSelection selection = read_selection(reader); !selection.pcrs.empty())
      into.selections.push_back(std::move(selection));
  into.pcr_digest = reader.sized();
}

} // namespace

Result<QuoteMessage> read_quote(std::span<const std::byte> bytes, const std::string& what) {
  BigEndianReader reader(bytes);
  QuoteMessage quote;
  if (reader.u32() != generated_value)
    reader.reject("it does not begin with TPM_GENERATED_VALUE: no TPM made it");
  if (reader.u16() != attest_quote)
    reader.reject("it is an attestation of something else than PCRs");
  (void)reader.sized(); // the signer's qualified name, which needs the whole hierarchy to check
  quote.extra_data = reader.sized();
  quote.clock_ms = reader.u64();
  quote.reset_count = reader.u32();
  quote.restart_count = reader.u32();
  if (const std::uint8_t safe = reader.u8(); safe > 1)
    reader.reject("its clock's \"safe\" is neither yes nor no");
  quote.firmware_version = reader.u64();
  read_attested_quote(reader, quote);
  TRY(reader.end(what));
  return quote;
}

Result<TpmSignature> read_signature(std::span<const std::byte> bytes, const std::string& what) {
  BigEndianReader reader(bytes);
  const std::uint16_t scheme = reader.u16();
  const std::uint16_t hash = reader.u16();
  TpmSignature signature;
  signature.scheme = static_cast<SignatureScheme>(scheme);
  signature.hash = static_cast<HashAlgorithm>(hash);
  using enum SignatureScheme;
  if (reader.good() && signature.scheme != rsassa && signature.scheme != rsapss &&
      signature.scheme != ecdsa)
    return failure(ErrorCode::unsupported, "reading " + what,
                   fmt::format("the scheme 0x{:x}: use RSASSA, RSAPSS or ECDSA", scheme));
  if (reader.good() && signature.hash != HashAlgorithm::sha256 &&
      signature.hash != HashAlgorithm::sha384)
    return failure(ErrorCode::unsupported, "reading " + what,
                   fmt::format("the hash 0x{:x}: use SHA-256 or SHA-384", hash));
  signature.first = reader.sized();
  if (signature.scheme == ecdsa)
    signature.second = reader.sized();
  TRY(reader.end(what));
  return signature;
}

} // namespace ashlar::evidence
