// SPDX-License-Identifier: LGPL-2.1-or-later
// The TPM Manager's engine: takes records, extends them, and says so only then.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/tpm/hardware_tpm.hpp"
#include "ashlar/tpm/journal.hpp"
#include "ashlar/tpm/ledger.hpp"
#include "ashlar/tpm/message.hpp"

namespace ashlar::tpm {

class Manager {
public:
  /// Reads the journal in `directory`, and brings it and the PCR together: a record that was being
  /// extended when the last process ended is extended now if it was not. Errors: integrity (the PCR
  /// is not what the log says, so the log cannot explain it: nothing is taken until the machine is
  /// restarted), busy, invalid, io.
  [[nodiscard]] static Result<std::unique_ptr<Manager>> start(const std::string& directory,
                                                              std::uint32_t pcr,
                                                              std::unique_ptr<HardwareTpm> tpm,
                                                              ApprovedImages approved = {});

  /// Takes an encoded record, which the builder alone may send: when it returns, the host PCR has
  /// it, exactly once, and the journal too. The same bytes again are acknowledged again. Errors:
  /// invalid, exists, denied, limit (see Ledger::judge); io, integrity: the TPM or the journal
  /// failed; whether the record was extended is settled before the next one is taken.
  [[nodiscard]] Result<Ack> put(std::span<const std::byte> encoded);

  /// Ends a record, if need be one that never came, and even while the TPM does not answer. Errors:
  /// limit, io (the journal), invalid (serial 0).
  [[nodiscard]] Result<Ack> revoke(std::uint64_t serial);

  /// From now on the vTPM is served with the guest's measurement. The same again is acknowledged
  /// again. Errors: those of Bindings::judge(), io (the journal).
  [[nodiscard]] Result<Ack> bind(const Binding& binding);

  /// Reads the PCR back. Errors: io, integrity.
  [[nodiscard]] Result<Ack> status();

  /// What the log adds up to, without asking the TPM: revocations must get through without it.
  [[nodiscard]] Ack log_status() const { return acknowledge(ledger().last_serial()); }

  [[nodiscard]] const Ledger& ledger() const { return state_.ledger; }
  [[nodiscard]] const Bindings& bindings() const { return state_.bindings; }
  [[nodiscard]] const ApprovedImages& approved() const { return approved_; }

private:
  Manager(std::uint32_t pcr, std::unique_ptr<HardwareTpm> tpm, Journal journal, JournalState state,
          ApprovedImages approved)
      : pcr_(pcr), tpm_(std::move(tpm)), journal_(std::move(journal)), state_(std::move(state)),
        approved_(std::move(approved)) {}
  [[nodiscard]] Status settle();
  [[nodiscard]] Status commit_intent();
  [[nodiscard]] Status require_pcr(const PcrValue& wanted);
  [[nodiscard]] Ack acknowledge(std::uint64_t serial) const;

  std::uint32_t pcr_;
  std::unique_ptr<HardwareTpm> tpm_;
  Journal journal_;
  JournalState state_;
  ApprovedImages approved_;
};

} // namespace ashlar::tpm
