// SPDX-License-Identifier: LGPL-2.1-or-later
// What a quote says about PCRs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ashlar/base/bytes.hpp"
#include "chain.hpp"

namespace ashlar::evidence {

namespace {

std::string text_of(const std::set<std::uint32_t>& pcrs) {
  return fmt::format("sha256:{}", fmt::join(pcrs, ","));
}

std::string text_of(const std::vector<PcrSelection>& selections) {
  std::vector<std::string> texts;
  texts.reserve(selections.size());
  for (const PcrSelection& selection : selections)
    texts.push_back(
        selection.hash == static_cast<std::uint16_t>(HashAlgorithm::sha256)
            ? text_of(selection.pcrs)
            : fmt::format("bank 0x{:x}:{}", selection.hash, fmt::join(selection.pcrs, ",")));
  return fmt::format("{}", fmt::join(texts, "+"));
}

// TPM2_Quote (Part 3): the hash of the selected values, concatenated by rising number.
Result<Bytes> digest_of(const PcrList& list, HashAlgorithm hash) {
  Bytes values;
  for (const auto& [pcr, value] : list)
    values.insert(values.end(), value.begin(), value.end());
  const measure::Digests digests = TRY(measure::digest(values));
  const std::span<const std::byte> digest =
      digests.of(hash == HashAlgorithm::sha384 ? measure::Bank::sha384 : measure::Bank::sha256);
  return Bytes(digest.begin(), digest.end());
}

} // namespace

Status check_quoted(Chain& chain, const QuoteMessage& quote, HashAlgorithm hash,
                    const PcrList& list, const std::set<std::uint32_t>& wanted,
                    const std::string& what) {
  const std::string doing = "comparing the quoted PCRs with " + what;
  const std::vector<PcrSelection> selections = {
      {static_cast<std::uint16_t>(HashAlgorithm::sha256), wanted}};
  if (quote.selections != selections)
    return chain.differs(doing, "other PCRs were quoted than must be", text_of(wanted),
                         text_of(quote.selections));
  std::set<std::uint32_t> listed;
  for (const auto& [pcr, value] : list)
    listed.insert(pcr);
  if (listed != wanted)
    return chain.differs(doing, what + " has other PCRs than were quoted", text_of(wanted),
                         text_of(listed));
  const Bytes digest = TRY(digest_of(list, hash));
  if (digest != quote.pcr_digest)
    return chain.differs(doing, "the values of " + what + " are not those that were quoted",
                         to_hex(quote.pcr_digest), to_hex(digest));
  return {};
}

} // namespace ashlar::evidence
