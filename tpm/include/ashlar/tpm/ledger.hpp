// SPDX-License-Identifier: LGPL-2.1-or-later
// What the TPM Manager knows: every measurement record since boot, in the order of extension.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <unordered_map>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/digest.hpp"
#include "ashlar/measure/record.hpp"
#include "ashlar/tpm/limits.hpp"
#include "ashlar/tpm/pcr.hpp"

namespace ashlar::tpm {

/// One event of the host log: one record that was extended into the host PCR.
struct LogEvent {
  std::uint64_t serial = 0;
  std::uint32_t domid = 0;
  bool revoked = false;
  measure::Digests digests;       // of the encoded record: what the PCR was extended with
  std::vector<std::byte> encoded; // the record; empty when it was revoked and room was needed
};

/// The records, by serial and by domain, in time independent of their number. Not thread-safe; does
/// no I/O.
class Ledger {
public:
  enum class Verdict {
    fresh, // a new record: extend, then add it
    known, // the same bytes were added before and hold: acknowledge again, extend nothing
  };

  /// May this record be added? `digests` are those of its encoded bytes. Errors: exists (other
  /// bytes under this serial, or the domain has another record that holds), denied (revoked),
  /// invalid (serial 0, or serial_window below the largest one), limit.
  [[nodiscard]] Result<Verdict> judge(const measure::Record& record,
                                      const measure::Digests& digests) const;

  /// Adds a record that judge() found fresh and whose digests are in the PCR now. To bring back an
  /// event without its record, give no bytes: it counts as revoked. Errors: internal.
  [[nodiscard]] Status add(LogEvent event);

  /// May this serial be revoked? Errors: limit (of serials whose records never came), invalid (0).
  [[nodiscard]] Status judge_revocation(std::uint64_t serial) const;

  /// The record holds no longer, and its domain's number is free for another. A serial whose record
  /// never came is remembered, so that it never will; one that is revoked already stays so. Errors:
  /// as judge_revocation().
  [[nodiscard]] Status revoke(std::uint64_t serial);

  /// The event of a serial, revoked or not; null when there is none.
  [[nodiscard]] const LogEvent* find(std::uint64_t serial) const;
  /// The event whose record holds for a domain now; null when there is none.
  [[nodiscard]] const LogEvent* find_domid(std::uint32_t domid) const;

  [[nodiscard]] const std::deque<LogEvent>& log() const { return log_; }
  /// What the log adds up to: the host PCR must have this value.
  [[nodiscard]] const PcrValue& pcr() const { return pcr_; }
  [[nodiscard]] std::uint64_t last_serial() const { return last_serial_; }
  /// Revoked serials whose records never came.
  [[nodiscard]] const std::set<std::uint64_t>& unknown_revocations() const { return unknown_; }

private:
  [[nodiscard]] Status check_room() const;
  [[nodiscard]] bool too_old(std::uint64_t serial) const;
  void forget_bytes_above(std::size_t limit);

  std::deque<LogEvent> log_; // a deque: its elements stay where they are
  std::unordered_map<std::uint64_t, LogEvent*> by_serial_;
  std::unordered_map<std::uint32_t, LogEvent*> by_domid_; // those that hold
  std::set<std::uint64_t> unknown_;
  PcrValue pcr_;
  std::uint64_t last_serial_ = 0;
  std::size_t kept_bytes_ = 0;     // of encoded records, revoked ones included
  std::size_t prunable_bytes_ = 0; // of those, the ones that may go
  std::deque<LogEvent*> prunable_; // revoked and with bytes, the longest revoked first
};

} // namespace ashlar::tpm
