// SPDX-License-Identifier: LGPL-2.1-or-later
// The TPM Manager's answers to vTPMs.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/tpmif.hpp"
#include "ashlar/tpm/manager.hpp"
#include "ashlar/tpm/vtpm_message.hpp"

namespace ashlar::tpm {

/// Answers a vTPM with the record of its own guest, and with nobody else's: who asks is the domid
/// that Xen vouches for, and whose vTPM that is the builder has said. Asked anew for each packet:
/// a revocation holds from that moment on.
class VtpmService : public ipc::TpmifHandler {
public:
  explicit VtpmService(Manager& manager) : manager_(manager) {}

  /// Errors: denied (no record holds for this domain, or it is no guest's vTPM).
  [[nodiscard]] Status connected(std::uint32_t frontend_domid) override;
  [[nodiscard]] std::vector<std::byte> answer(std::uint32_t frontend_domid,
                                              std::span<const std::byte> packet) override;
  void disconnected(std::uint32_t) override {}

private:
  /// The binding of the vTPM in this domain. Errors: denied.
  [[nodiscard]] Result<const Binding*> binding_of(std::uint32_t domid) const;
  [[nodiscard]] Result<VtpmResponse> respond(std::uint32_t domid, const VtpmRequest& request);
  [[nodiscard]] Result<VtpmResponse> measurement(const Binding& binding,
                                                 std::span<const std::byte> body) const;
  [[nodiscard]] Result<VtpmResponse> boot_hash(const Binding& binding) const;
  [[nodiscard]] Result<VtpmResponse> save_key(const Binding& binding,
                                              std::span<const std::byte> body);
  [[nodiscard]] Result<VtpmResponse> load_key(const Binding& binding) const;

  Manager& manager_;
  /// By the guest's UUID, for as long as this process runs.
  std::map<measure::Uuid, std::vector<std::byte>> keys_;
};

} // namespace ashlar::tpm
