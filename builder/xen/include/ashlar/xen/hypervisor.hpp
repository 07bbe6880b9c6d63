// SPDX-License-Identifier: LGPL-2.1-or-later
// What the broker asks of Xen about domains that exist. Building them is the constructor's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/record.hpp"

namespace ashlar::xen {

/// Why a domain stopped (SHUTDOWN_* of xen/include/public/sched.h).
enum class ShutdownReason : std::uint8_t {
  poweroff = 0,
  reboot = 1,
  suspend = 2,
  crash = 3,
  watchdog = 4,
  soft_reset = 5,
};

struct DomainStatus {
  std::uint32_t domid = 0;
  measure::Uuid uuid{};
  bool paused = false; // by the control software
  bool dying = false;  // destroyed, but somebody still maps its pages
  std::optional<ShutdownReason> shutdown;
  std::uint64_t cpu_time_ns = 0;
  std::uint64_t memory_kib = 0; // what it has now
};

/// An interface so that the broker's unit tests can inject faults; the real one is
/// open_hypervisor().
class Hypervisor {
public:
  virtual ~Hypervisor() = default;
  /// All domains but 0, by rising domid.
  [[nodiscard]] virtual Result<std::vector<DomainStatus>> domains() = 0;
  [[nodiscard]] virtual Result<std::optional<DomainStatus>> domain(std::uint32_t domid) = 0;
  [[nodiscard]] virtual Status pause(std::uint32_t domid) = 0;
  [[nodiscard]] virtual Status unpause(std::uint32_t domid) = 0;
  /// Destroys the domain if it still has this UUID (a domid alone can have been reused). A domain
  /// that is gone already is success.
  [[nodiscard]] virtual Status destroy(std::uint32_t domid, const measure::Uuid& uuid) = 0;
  /// Free memory of the machine, KiB.
  [[nodiscard]] virtual Result<std::uint64_t> free_memory_kib() = 0;
};
[[nodiscard]] Result<std::unique_ptr<Hypervisor>> open_hypervisor();

} // namespace ashlar::xen
