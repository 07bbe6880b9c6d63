// SPDX-License-Identifier: LGPL-2.1-or-later
// From the hardware TPM to the record of this guest.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/limits.hpp"
#include "chain.hpp"
#include "endorsement.hpp"

namespace ashlar::evidence {

namespace {

using measure::Sha256;

constexpr std::string_view statement_label("ashlar-guest-quote-2\0", 21);

Result<std::string> check_key(Chain& chain) {
  TpmPublic key = TRY(read_public(chain.bundle.host.key, "host.ak.pub"));
  TRY(require_attestation_key(key, "host.ak.pub"));
  const bool enrolled = std::ranges::any_of(
      chain.trust.host_keys, [&](const Key& trusted) { return same_key(trusted, key.key); });
  if (!enrolled)
    return chain.differs(
        "looking for the host's key",
        "no enrolled host has it: the bundle is from another machine, or its "
        "machine must be enrolled first",
        fmt::format("one of host-ak.pem, which has {}", chain.trust.host_keys.size()),
        describe(key.key));
  chain.host_key = std::move(key);
  return "it is the key of an enrolled host: " + describe(chain.host_key->key);
}

Result<std::string> check_endorsement(Chain& chain) {
  const TpmPublic key = TRY(read_public(chain.bundle.endorsement_key, "host.ek.pub"));
  TRY(require_endorsement_key(key));
  const Bytes& certificate = chain.bundle.endorsement_certificate;
  const auto& authorities = chain.trust.endorsement_authorities;
  if (certificate.empty() && authorities)
    return failure(ErrorCode::denied, "looking for the issuer of the TPM's endorsement key",
                   "the bundle has no host.ek.crt, and ek-ca.pem asks for one: the TPM has no "
                   "certificate, or somebody took it away");
  if (certificate.empty())
    return chain.nothing_to_compare("the TPM has no certificate; only your enrolment can have "
                                    "tied the host's key to its endorsement key: " +
                                    describe(key.key));
  std::string found = TRY(check_certificate(certificate, key.key, authorities));
  if (!authorities)
    return chain.nothing_to_compare(found + ", which the reference directory has no ek-ca.pem "
                                            "to judge by");
  return found;
}

Result<std::string> check_quote(Chain& chain) {
  if (!chain.host_key)
    return chain.needs(link::host_key);
  const auto signature = TRY(read_signature(chain.bundle.host.signature, "host.quote.sig"));
  TRY(verify_signature(chain.host_key->key, signature, chain.bundle.host.message,
                       "host.quote.msg"));
  chain.host = TRY(read_quote(chain.bundle.host.message, "host.quote.msg"));
  chain.host_hash = signature.hash;
  return fmt::format("the host's TPM signed it (reset {}, restart {})", chain.host->reset_count,
                     chain.host->restart_count);
}

Result<std::string> check_pcrs(Chain& chain) {
  if (!chain.host)
    return chain.needs(link::host_quote);
  std::set<std::uint32_t> wanted = {chain.trust.host_pcr};
  for (std::uint32_t pcr = 0; pcr < firmware_pcrs; ++pcr)
    wanted.insert(pcr);
  TRY(check_quoted(chain, *chain.host, chain.host_hash, chain.bundle.host.pcrs, wanted,
                   "host.pcrs"));
  chain.host_pcrs_quoted = true;
  return fmt::format("host.pcrs has the quoted values of PCRs 0 to 7 and {}", chain.trust.host_pcr);
}

// A reference may leave PCRs open: whoever reads the verdict must see which.
std::string compared(const PcrChoices& firmware) {
  std::vector<std::uint32_t> named;
  std::vector<std::uint32_t> open;
  for (std::uint32_t pcr = 0; pcr < firmware_pcrs; ++pcr)
    (firmware.contains(pcr) ? named : open).push_back(pcr);
  std::string text = fmt::format("PCRs {} are as host.pcrs has them", fmt::join(named, ", "));
  if (!open.empty())
    text += fmt::format("; it says nothing of {}", fmt::join(open, ", "));
  return text;
}

Result<std::string> check_firmware(Chain& chain) {
  if (!chain.host_pcrs_quoted)
    return chain.needs(link::host_pcrs);
  if (!chain.trust.firmware)
    return chain.nothing_to_compare("the reference directory has no host.pcrs");
  for (const auto& [pcr, choices] : *chain.trust.firmware) {
    const auto value = chain.bundle.host.pcrs.find(pcr);
    if (value == chain.bundle.host.pcrs.end() || pcr >= firmware_pcrs)
      return failure(ErrorCode::invalid, "comparing the firmware's PCRs",
                     fmt::format("the reference names PCR {}, which is none of 0 to 7", pcr));
    if (choices.contains(value->second))
      continue;
    const bool empty = value->second == Sha256{};
    return chain.differs("comparing the firmware's PCRs",
                         empty ? fmt::format("PCR {} is empty: nothing was measured into it", pcr)
                               : fmt::format("PCR {} is not what it must be: the host booted "
                                             "something else",
                                             pcr),
                         to_hex(*choices.begin()), to_hex(value->second));
  }
  return compared(*chain.trust.firmware);
}

struct Replay {
  Sha256 value{};                          // after the last event
  std::optional<std::size_t> events_to_it; // that give the value that was looked for
};

// Once over the log, which is long in the hands of whoever made the bundle.
Result<Replay> replay(const std::vector<Sha256>& log, const Sha256& wanted) {
  Replay replay;
  for (std::size_t i = 0; i < log.size(); ++i) {
    std::array<std::byte, 2 * sizeof(Sha256)> both{};
    std::ranges::copy(log[i], std::ranges::copy(replay.value, both.begin()).out);
    replay.value = TRY(measure::digest(both)).sha256;
    if (replay.value == wanted)
      replay.events_to_it = i + 1;
  }
  return replay;
}

std::vector<Sha256> log_of(const Bytes& bytes) {
  std::vector<Sha256> log(bytes.size() / sizeof(Sha256));
  for (std::size_t i = 0; i < log.size(); ++i)
    std::ranges::copy(std::span(bytes).subspan(i * sizeof(Sha256), sizeof(Sha256)), log[i].begin());
  return log;
}

// Why a log does not give the PCR, as far as the log itself tells: nothing says what it should be
// but the PCR, and the guest's record that must be in it.
Result<std::string> wrong_log(const Chain& chain, const std::vector<Sha256>& log,
                              const Replay& replay) {
  if (replay.events_to_it)
    return fmt::format("its first {} do: it was exchanged for a later one, or something was "
                       "appended",
                       *replay.events_to_it);
  const Sha256 record = TRY(measure::digest(chain.bundle.record)).sha256;
  if (std::ranges::find(log, record) == log.end())
    return "the guest's record is not in it either: it was exchanged for another machine's or "
           "another start's, or cut off before the record";
  return "the guest's record is in it: it was cut off behind that, reordered or changed";
}

Result<std::string> check_log(Chain& chain) {
  if (!chain.host_pcrs_quoted)
    return chain.needs(link::host_pcrs);
  const Sha256 quoted = chain.bundle.host.pcrs.at(chain.trust.host_pcr);
  std::vector<Sha256> log = log_of(chain.bundle.host_log);
  if (quoted == Sha256{})
    return chain.differs(
        "replaying the host log",
        fmt::format("PCR {} is empty: no record was ever extended", chain.trust.host_pcr),
        "the value of a log", to_hex(quoted));
  const Replay replayed = TRY(replay(log, quoted));
  if (replayed.value != quoted)
    return chain.differs("replaying the host log",
                         fmt::format("its {} events do not give the quoted PCR {}; {}", log.size(),
                                     chain.trust.host_pcr, TRY(wrong_log(chain, log, replayed))),
                         to_hex(quoted), to_hex(replayed.value));
  chain.host_log = std::move(log);
  return fmt::format("its {} events give PCR {}", chain.host_log->size(), chain.trust.host_pcr);
}

Result<std::string> check_record(Chain& chain) {
  measure::Record record = TRY(measure::decode(chain.bundle.record));
  if (!chain.host_log)
    return chain.needs(link::host_log);
  const Sha256 digest = TRY(measure::digest(chain.bundle.record)).sha256;
  const auto at = std::ranges::find(*chain.host_log, digest);
  if (at == chain.host_log->end())
    return chain.differs("looking for the record in the host log",
                         "it is not there: this host never built that domain",
                         fmt::format("one of {} events", chain.host_log->size()), to_hex(digest));
  const auto position = at - chain.host_log->begin() + 1;
  chain.record = std::move(record);
  return fmt::format("it is event {} of {} in the host log: serial {}, domid {}, uuid {}", position,
                     chain.host_log->size(), chain.record->serial, chain.record->domid,
                     measure::to_string(chain.record->uuid));
}

// What the manager signs for a guest (docs/attestation.md), but for nonce and record.
struct Statement {
  Sha256 key{};
  Sha256 log{};
};

Result<Statement> statement_of(const Bundle& bundle) {
  Statement statement;
  statement.key = TRY(measure::digest(bundle.guest.key)).sha256;
  statement.log = TRY(measure::digest(bundle.host_log)).sha256;
  return statement;
}

Result<Sha256> digest_of(const Statement& statement, const Sha256& nonce, const Sha256& record) {
  Bytes bytes;
  const auto append = [&](std::span<const std::byte> part) {
    bytes.insert(bytes.end(), part.begin(), part.end());
  };
  append(as_bytes(statement_label));
  append(nonce);
  append(record);
  append(statement.key);
  append(statement.log);
  return TRY(measure::digest(bytes)).sha256;
}

// A hash tells nothing by itself: what else would have given it says what was exchanged.
Result<std::string> wrong_statement(const Chain& chain, const Statement& statement,
                                    const Sha256& record) {
  const auto quoted = [&](const Sha256& value) {
    return std::ranges::equal(value, chain.host->extra_data);
  };
  if (chain.bundle.nonce != chain.trust.nonce &&
      quoted(TRY(digest_of(statement, chain.bundle.nonce, record))))
    return "the TPM Manager answered another challenge: the bundle is an old one";
  for (std::size_t i = 0; i < chain.host_log->size(); ++i)
    if (quoted(TRY(digest_of(statement, chain.trust.nonce, (*chain.host_log)[i]))))
      return fmt::format("the TPM Manager vouched for event {} of the host log, which is another "
                         "domain's record or another incarnation's: the evidence was relayed, or "
                         "the guest was built anew",
                         i + 1);
  return "the TPM Manager vouched for another guest, another key, another log or another "
         "challenge: the bundle was put together from several";
}

Result<std::string> check_binding(Chain& chain) {
  if (!chain.host)
    return chain.needs(link::host_quote);
  if (!chain.host_log)
    return chain.needs(link::host_log);
  const Sha256 record = TRY(measure::digest(chain.bundle.record)).sha256;
  const Statement statement = TRY(statement_of(chain.bundle));
  const Sha256 expected = TRY(digest_of(statement, chain.trust.nonce, record));
  if (!std::ranges::equal(expected, chain.host->extra_data))
    return chain.differs("comparing the manager's statement",
                         TRY(wrong_statement(chain, statement, record)), to_hex(expected),
                         to_hex(chain.host->extra_data));
  chain.bound = true;
  return "the TPM Manager vouches for this record, the vTPM's key and this challenge";
}

} // namespace

void check_host(Chain& chain) {
  chain.check(link::host_key, check_key);
  chain.check(link::endorsement, check_endorsement, true);
  chain.check(link::host_quote, check_quote);
  chain.check(link::host_pcrs, check_pcrs);
  chain.check(link::firmware, check_firmware, true);
  chain.check(link::host_log, check_log);
  chain.check(link::record, check_record);
  chain.check(link::binding, check_binding);
}

} // namespace ashlar::evidence
