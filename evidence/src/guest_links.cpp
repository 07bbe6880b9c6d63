// SPDX-License-Identifier: LGPL-2.1-or-later
// From the vTPM's key to what the guest's PCRs and log say.
#include <fmt/format.h>

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/difference.hpp"
#include "chain.hpp"

namespace ashlar::evidence {

namespace {

using measure::Bank;
using measure::Sha256;

constexpr std::array sha256_alone = {Bank::sha256};

// The PCRs that every record means under the profile.
std::set<std::uint32_t> pcrs_of(measure::Profile profile) {
  return profile == measure::Profile::uapi ? std::set<std::uint32_t>{9, 11, 12}
                                           : std::set<std::uint32_t>{8, 9};
}

Result<std::string> check_key(Chain& chain) {
  TpmPublic key = TRY(read_public(chain.bundle.guest.key, "guest.ak.pub"));
  TRY(require_attestation_key(key, "guest.ak.pub"));
  if (!chain.bound)
    return chain.needs(link::binding);
  chain.guest_key = std::move(key);
  return "it is the key that the TPM Manager vouched for: " + describe(chain.guest_key->key);
}

Result<std::string> check_quote(Chain& chain) {
  if (!chain.guest_key)
    return chain.needs(link::guest_key);
  const auto signature = TRY(read_signature(chain.bundle.guest.signature, "guest.quote.sig"));
  TRY(verify_signature(chain.guest_key->key, signature, chain.bundle.guest.message,
                       "guest.quote.msg"));
  QuoteMessage quote = TRY(read_quote(chain.bundle.guest.message, "guest.quote.msg"));
  if (!std::ranges::equal(quote.extra_data, chain.trust.nonce))
    return chain.differs("comparing the vTPM's nonce",
                         "the vTPM answered another challenge: the quote is an old one",
                         to_hex(chain.trust.nonce), to_hex(quote.extra_data));
  chain.guest = std::move(quote);
  chain.guest_hash = signature.hash;
  return "the vTPM signed it for this challenge";
}

Result<std::string> check_pcrs(Chain& chain) {
  if (!chain.guest)
    return chain.needs(link::guest_quote);
  const std::set<std::uint32_t> wanted = pcrs_of(chain.bundle.profile);
  const PcrList& list = chain.bundle.guest.pcrs;
  TRY(check_quoted(chain, *chain.guest, chain.guest_hash, list, wanted, "guest.pcrs"));
  for (const auto& [pcr, value] : list)
    if (value == Sha256{})
      return chain.differs("looking at the guest's PCRs",
                           fmt::format("PCR {} is empty: nothing was measured into it", pcr),
                           "a measurement", to_hex(value));
  chain.guest_pcrs_quoted = true;
  return fmt::format("guest.pcrs has the quoted values of the profile {}",
                     to_string(chain.bundle.profile));
}

// How the log differs from what the record means; nothing: it does not.
Result<std::optional<Difference>> difference_from_record(const Chain& chain, const EventLog& log) {
  const auto meant = TRY(measure::extensions_of(chain.bundle.profile, chain.record->events));
  const std::vector<Item> of_record = items_of(meant);
  const std::vector<Item> of_log = items_of(log.extensions);
  return first_difference({.first = of_record,
                           .second = of_log,
                           .first_name = "the record",
                           .second_name = "the guest's log",
                           .banks = sha256_alone,
                           .known = {}});
}

// Why a log does not give the quoted values: the record says what it must be.
Result<std::string> wrong_log(const Chain& chain, const EventLog& log) {
  if (!chain.record)
    return "the log was cut off, exchanged or changed, or the guest extended the PCR itself";
  const auto difference = TRY(difference_from_record(chain, log));
  if (!difference)
    return "the log is what the record means: the guest extended the PCR itself";
  if (difference->position == log.extensions.size() + 1)
    return fmt::format("the log was cut off: it ends after {} events, before the {} of the record",
                       log.extensions.size(), difference->covers);
  return fmt::format("the log was exchanged or changed: its event {} is not the record's: {}",
                     difference->position, difference->cause);
}

Result<std::string> check_log(Chain& chain) {
  EventLog log = TRY(read_event_log(chain.bundle.guest_log));
  if (!chain.guest_pcrs_quoted)
    return chain.needs(link::guest_pcrs);
  if (std::ranges::find(log.banks, Bank::sha256) == log.banks.end())
    return failure(ErrorCode::invalid, "replaying guest.log", "it has no SHA-256 digests");
  const measure::PcrValues replayed = TRY(measure::replay(log.extensions));
  for (const auto& [pcr, quoted] : chain.bundle.guest.pcrs) {
    const auto value = replayed.find(pcr);
    const Sha256 found = value == replayed.end() ? Sha256{} : value->second.sha256;
    if (found != quoted)
      return chain.differs(
          "replaying guest.log",
          fmt::format("it does not give the quoted PCR {}: {}", pcr, TRY(wrong_log(chain, log))),
          to_hex(quoted), to_hex(found));
  }
  chain.guest_log = std::move(log);
  return fmt::format("its {} events give the quoted PCRs", chain.guest_log->extensions.size());
}

Result<std::string> check_events(Chain& chain) {
  if (!chain.guest_log)
    return chain.needs(link::guest_log);
  if (!chain.record)
    return chain.needs(link::record);
  const auto difference = TRY(difference_from_record(chain, *chain.guest_log));
  if (difference)
    return chain.differs("comparing guest.log with the record",
                         fmt::format("event {}: {}", difference->position, difference->cause),
                         difference->first, difference->second);
  chain.guest_events_match = true;
  return "the guest's PCRs are what its record means";
}

} // namespace

void check_guest(Chain& chain) {
  chain.check(link::guest_key, check_key);
  chain.check(link::guest_quote, check_quote);
  chain.check(link::guest_pcrs, check_pcrs);
  chain.check(link::guest_log, check_log);
  chain.check(link::guest_events, check_events);
}

} // namespace ashlar::evidence
