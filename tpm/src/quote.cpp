// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/quote.hpp"

#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/vtpm_message.hpp"
#include "big_endian.hpp"

namespace ashlar::tpm {

namespace {

using namespace std::string_view_literals;

// With its NUL: no other text of ours begins with it.
constexpr std::string_view purpose = "ashlar-guest-quote-1\0"sv;
constexpr std::string_view guest_purpose = "ashlar-guest-quote-2\0"sv;

} // namespace

Result<measure::Sha256> quote_qualifier(std::span<const std::byte> nonce,
                                        const measure::Digests& record) {
  measure::DigestStream stream = TRY(measure::DigestStream::create());
  TRY(stream.update(as_bytes(purpose)));
  TRY(stream.update(nonce));
  TRY(stream.update(record.sha256));
  return TRY(stream.finish()).sha256;
}

Result<measure::Sha256> guest_quote_qualifier(const GuestQuoteFacts& facts) {
  measure::BankStream stream = TRY(measure::BankStream::create(measure::Bank::sha256));
  TRY(stream.update(as_bytes(guest_purpose)));
  TRY(stream.update(facts.nonce));
  for (const measure::Sha256* part : {&facts.record, &facts.key, &facts.log})
    TRY(stream.update(*part));
  measure::Digests out;
  TRY(stream.finish(out));
  return out.sha256;
}

Result<std::vector<std::byte>> encode(const Quote& quote) {
  std::vector<std::byte> out;
  for (const auto* part : {&quote.attest, &quote.signature, &quote.public_key}) {
    if (part->size() > max_vtpm_body_bytes)
      return limit_failure("answering with a quote",
                           fmt::format("a part of it has {} bytes", part->size()),
                           fmt::format("{} bytes", max_vtpm_body_bytes));
    put_big_endian(out, static_cast<std::uint16_t>(part->size()));
    out.insert(out.end(), part->begin(), part->end());
  }
  if (out.size() > max_vtpm_body_bytes)
    return limit_failure("answering with a quote", fmt::format("it has {} bytes", out.size()),
                         fmt::format("{} bytes", max_vtpm_body_bytes));
  return out;
}

} // namespace ashlar::tpm
