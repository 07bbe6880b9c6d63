// SPDX-License-Identifier: LGPL-2.1-or-later
// What the TPM Manager must remember when its process is restarted, in a tmpfs of its own domain:
// the host log, and what is about to be extended. Layout in docs/decisions/0006-tpm-manager.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/tpm/bindings.hpp"
#include "ashlar/tpm/ledger.hpp"

namespace ashlar::tpm {

/// A record that is to be extended into the host PCR; whether that happened, only the PCR knows.
struct Intent {
  LogEvent event;
  bool revoked = false; // the builder took it back meanwhile
};

/// The state that a journal adds up to.
struct JournalState {
  Ledger ledger;
  Bindings bindings;
  std::optional<Intent> intent;
};

class Journal {
public:
  /// Opens the journal "log" in `directory` and locks it against a second manager. `state` gets
  /// what it holds; an incomplete last entry, from a crash in the middle of a write, is dropped.
  /// Errors: busy (another manager runs), io, invalid (damaged).
  [[nodiscard]] static Result<Journal> open(const std::string& directory, JournalState& state);

  /// Before the PCR is extended with this encoded record.
  [[nodiscard]] Status intent(std::span<const std::byte> encoded);
  /// The PCR has it.
  [[nodiscard]] Status extended(std::uint64_t serial);
  [[nodiscard]] Status revoked(std::uint64_t serial);
  [[nodiscard]] Status bound(const Binding& binding);

  /// Writes the journal anew without what is over, when it has grown by journal_slack_bytes. Where
  /// that does not work, the old one just goes on: what it lacks room for is told by append.
  void compact(const JournalState& state);

private:
  Journal(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  [[nodiscard]] Status append(std::span<const std::byte> entry);
  [[nodiscard]] Status rewrite(const JournalState& state);

  std::string path_;
  UniqueFd lock_;
  UniqueFd file_;
  std::uint64_t grown_ = 0;
};

/// The log event of an encoded record. Errors: invalid, limit (measure::decode), internal.
[[nodiscard]] Result<LogEvent> log_event(std::span<const std::byte> encoded);

} // namespace ashlar::tpm
