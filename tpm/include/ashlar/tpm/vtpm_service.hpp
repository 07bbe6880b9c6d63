// SPDX-License-Identifier: LGPL-2.1-or-later
// What a vTPM's domain is told: its own guest's measurement and key, and nothing about another's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/tpmif.hpp"
#include "ashlar/tpm/evidence_service.hpp"
#include "ashlar/tpm/key_store.hpp"
#include "ashlar/tpm/manager.hpp"
#include "ashlar/tpm/quote.hpp"
#include "ashlar/tpm/vtpm_message.hpp"

namespace ashlar::tpm {

/// Answers vTPMs by vtpm_message.hpp. Who asks is the domid that Xen vouches for, looked up in the
/// ledger anew at each packet: a domain whose record or guest's record was revoked meanwhile gets
/// nothing more. In time independent of the number of records.
class VtpmService final : public ipc::TpmifHandler {
public:
  /// All three outlive the service; the clock is the tests'.
  VtpmService(const Manager& manager, KeyStore& keys, Quoter& quoter,
              EvidenceService::Clock clock = std::chrono::steady_clock::now)
      : manager_(manager), keys_(keys), quoter_(quoter), evidence_(manager, quoter, clock),
        clock_(std::move(clock)) {}

  /// Errors: denied (no record of this domain holds, it is bound to no guest that holds, it is not
  /// built from approved images, or it has a connection already).
  [[nodiscard]] Status connected(std::uint32_t frontend_domid) override;
  /// Never empty: each refusal is a status word.
  [[nodiscard]] std::vector<std::byte> answer(std::uint32_t frontend_domid,
                                              std::span<const std::byte> packet) override;
  void disconnected(std::uint32_t frontend_domid) override;

  /// The one user of the keys of the hardware TPM; the builder's session shares it.
  [[nodiscard]] EvidenceService& evidence() { return evidence_; }

private:
  struct Saves {
    Allowance allowance;
    std::uint32_t count = 0;
  };
  /// One request's asker; the pointers hold until the next change of the ledger.
  struct Asker {
    const Binding* binding = nullptr;
    const LogEvent* guest = nullptr;
    measure::Record record; // the guest's
  };
  [[nodiscard]] Result<Asker> find_asker(std::uint32_t domid) const;
  /// The asker, who must be the one that this connection was opened for.
  [[nodiscard]] Result<Asker> find_connected(std::uint32_t domid) const;
  [[nodiscard]] VtpmResponse perform(const Asker& asker, const VtpmRequest& request);
  [[nodiscard]] VtpmResponse measurement(const Asker& asker, std::span<const std::byte> body) const;
  [[nodiscard]] VtpmResponse boot_hash(const Asker& asker) const;
  [[nodiscard]] VtpmResponse load_key(const Asker& asker) const;
  [[nodiscard]] VtpmResponse save_key(const Asker& asker, std::span<const std::byte> body);
  [[nodiscard]] VtpmResponse quote(const Asker& asker, std::span<const std::byte> nonce);

  const Manager& manager_;
  KeyStore& keys_;
  Quoter& quoter_;
  EvidenceService evidence_;
  EvidenceService::Clock clock_;
  std::unordered_map<std::uint32_t, std::uint64_t> open_; // domid: serial of the vTPM's record
  // Not by serial: a guest that is built anew, which it can bring about itself, begins no new
  // count. Each owner has a record in the log, so that there are max_log_events at most.
  std::map<KeyOwner, Saves> saves_;
};

} // namespace ashlar::tpm
