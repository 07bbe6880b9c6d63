// SPDX-License-Identifier: LGPL-2.1-or-later
// What a vTPM's guest shows to others: the host log, a quote that binds its vTPM's key to its
// record, and the keys of the hardware TPM; and these keys for the builder.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>

#include "ashlar/base/allowance.hpp"
#include "ashlar/tpm/host_identity.hpp"
#include "ashlar/tpm/manager.hpp"
#include "ashlar/tpm/quote.hpp"
#include "ashlar/tpm/vtpm_message.hpp"

namespace ashlar::tpm {

/// Answers for vTPMs that VtpmService has let in and looked up. Uses the hardware TPM no more often
/// than limits.hpp says, for one vTPM and for all.
class EvidenceService {
public:
  using Clock = std::function<Allowance::Time()>;
  /// Both outlive the service; the clock is the tests'.
  EvidenceService(const Manager& manager, Quoter& quoter,
                  Clock clock = std::chrono::steady_clock::now);

  /// May this vTPM use the hardware TPM now? Counts it if so.
  [[nodiscard]] bool allow(std::uint64_t vtpm_serial);

  /// Digests alone: what other domains were built from stays with the manager.
  [[nodiscard]] VtpmResponse host_log(std::span<const std::byte> body) const;
  /// `guest` is the record of the guest whose vTPM asks; nothing that the vTPM sends says which. A
  /// quote is given only if the PCRs in it are what the log that the asker has adds up to.
  [[nodiscard]] VtpmResponse guest_quote(const LogEvent& guest, std::uint64_t vtpm_serial,
                                         std::span<const std::byte> body);
  [[nodiscard]] VtpmResponse host_keys(std::uint64_t vtpm_serial, std::span<const std::byte> body);
  [[nodiscard]] VtpmResponse activate(std::uint64_t vtpm_serial, std::span<const std::byte> body);

  /// For the builder, whose connection is no vTPM's: keys and PCRs of the machine. However often it
  /// is asked, it asks the TPM once in identity_kept, and after a failure not before
  /// identity_retry_pause is over. Errors: io, integrity, limit (a key above
  /// max_public_key_bytes).
  [[nodiscard]] Result<HostIdentity> identity();

private:
  struct Told {
    HostIdentity identity;
    std::size_t log_events = 0; // that its host PCR adds up from
    Allowance::Time at;
  };
  struct Failure {
    Error error;
    Allowance::Time at;
  };

  [[nodiscard]] Status read_keys();
  [[nodiscard]] Result<HostIdentity> read_identity();
  [[nodiscard]] Status asked(Status outcome);
  [[nodiscard]] Status last_failure() const;
  [[nodiscard]] Result<std::vector<std::byte>>
  quote_for(const LogEvent& guest, std::span<const std::byte> nonce, const measure::Sha256& key);

  const Manager& manager_;
  Quoter& quoter_;
  Clock clock_;
  Allowance all_;
  std::optional<Endorsement> keys_;
  std::optional<Told> told_;
  std::optional<Failure> failed_; // the last time that keys or PCRs were asked for, if it failed
  std::unordered_map<std::uint64_t, Allowance> by_vtpm_; // by the serial of the vTPM's record
};

/// The refusal by which a vTPM hears of an error, whose reason goes into this program's log.
[[nodiscard]] VtpmResponse vtpm_refusal(const Error& error);

} // namespace ashlar::tpm
