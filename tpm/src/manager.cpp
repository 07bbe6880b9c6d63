// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/manager.hpp"

#include <utility>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"

namespace ashlar::tpm {

Result<std::unique_ptr<Manager>> Manager::start(const std::string& directory, std::uint32_t pcr,
                                                std::unique_ptr<HardwareTpm> tpm,
                                                ApprovedImages approved) {
  JournalState state;
  Journal journal = TRY(Journal::open(directory, state));
  std::unique_ptr<Manager> manager(
      new Manager(pcr, std::move(tpm), std::move(journal), std::move(state), std::move(approved)));
  TRY(manager->settle());
  TRY(manager->require_pcr(manager->ledger().pcr()));
  return manager;
}

Status Manager::require_pcr(const PcrValue& wanted) {
  const PcrValue value = TRY(tpm_->read());
  if (same_in(tpm_->banks(), value, wanted))
    return {};
  return failure(
      ErrorCode::integrity, fmt::format("comparing PCR {} with the host log", pcr_),
      fmt::format("its SHA-256 bank holds {}, the {} events of the log make {}: somebody "
                  "else extends it or the log was lost; choose another PCR or restart "
                  "the machine",
                  to_hex(value.sha256), ledger().log().size(), to_hex(wanted.sha256)));
}

// An intent without its end is a record of which only the PCR knows whether it was extended.
Status Manager::settle() {
  if (!state_.intent)
    return {};
  const measure::Digests& event = state_.intent->event.digests;
  const PcrValue after = TRY(extended(ledger().pcr(), event));
  if (!same_in(tpm_->banks(), TRY(tpm_->read()), after)) {
    TRY(require_pcr(ledger().pcr()));
    TRY(tpm_->extend(event));
    TRY(require_pcr(after));
  }
  return commit_intent();
}

Status Manager::commit_intent() {
  const std::uint64_t serial = state_.intent->event.serial;
  TRY(journal_.extended(serial));
  Intent intent = std::move(*state_.intent);
  state_.intent.reset();
  TRY(state_.ledger.add(std::move(intent.event)));
  if (intent.revoked)
    TRY(state_.ledger.revoke(serial));
  return {};
}

Result<Ack> Manager::put(std::span<const std::byte> encoded) {
  TRY(settle());
  const measure::Record record = TRY(measure::decode(encoded));
  LogEvent event = TRY(log_event(encoded));
  if (TRY(ledger().judge(record, event.digests)) == Ledger::Verdict::known) {
    TRY(require_pcr(ledger().pcr()));
    return acknowledge(record.serial);
  }
  journal_.compact(state_);
  TRY(journal_.intent(encoded));
  state_.intent = Intent{.event = std::move(event)};
  TRY(settle());
  return acknowledge(record.serial);
}

Result<Ack> Manager::revoke(std::uint64_t serial) {
  TRY(ledger().judge_revocation(serial));
  const LogEvent* known = ledger().find(serial);
  if (known && known->revoked)
    return acknowledge(serial);
  // The journal first: what it did not take must not look done when it is asked for again.
  TRY(journal_.revoked(serial));
  state_.bindings.end(serial);
  // A record whose extension is not settled is revoked as soon as it is: the TPM may be dead now.
  if (state_.intent && state_.intent->event.serial == serial)
    state_.intent->revoked = true;
  else
    TRY(state_.ledger.revoke(serial));
  return acknowledge(serial);
}

Result<Ack> Manager::bind(const Binding& binding) {
  if (TRY(bindings().judge(binding, ledger(), approved_)) == Bindings::Verdict::fresh) {
    TRY(journal_.bound(binding));
    state_.bindings.add(binding);
  }
  return acknowledge(binding.guest_serial);
}

Result<Ack> Manager::status() {
  TRY(settle());
  TRY(require_pcr(ledger().pcr()));
  return log_status();
}

Ack Manager::acknowledge(std::uint64_t serial) const {
  return Ack{.serial = serial,
             .pcr = pcr_,
             .value = ledger().pcr().sha256,
             .log_events = ledger().log().size()};
}

} // namespace ashlar::tpm
