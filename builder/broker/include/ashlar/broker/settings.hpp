// SPDX-License-Identifier: LGPL-2.1-or-later
// The builder's own settings and its boot manifest, both TOML and both strict: an unknown key is an
// error.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/broker/limits.hpp"
#include "ashlar/constructor/plan.hpp"
#include "ashlar/measure/domain_configuration.hpp"

namespace ashlar::broker {

/// What every guest's vTPM domain is built from (builder.toml's table [vtpm]): files of the builder
/// domain, never a requester's.
struct VtpmImages {
  std::string kernel; // path
  std::string initrd; // path
  std::string command_line;
  std::uint64_t memory_kib = default_vtpm_memory_kib; // key: memory_mib
  measure::GuestType type = measure::GuestType::pvh;
};

/// Where this build installs the programs that the builder starts: it depends on Meson's prefix.
extern const char* const installed_libexec_directory;

/// builder.toml. Defaults are those of a Debian domain 0.
struct Settings {
  std::string policy_directory = "/etc/ashlar/policy.d";
  std::string boot_manifest; // path; empty: nothing is started at boot
  std::string run_directory =
      "/run/ashlar"; // journal and lock; must be a tmpfs: gone after a reboot
  std::string socket = "/run/ashlar/ashlar.sock"; // empty: no Unix socket
  std::string console_log_directory = "/var/log/xen/console";
  std::string libexec_directory = installed_libexec_directory; // ashlar-inspector and the others
  std::uint64_t store_bytes = default_store_bytes;             // key: store_mib
  bool inspect_ahead = true; // approved kernels are inspected when they come, not when first built
  std::chrono::seconds device_time = default_device_time; // key: device_seconds
  std::optional<VtpmImages> vtpm;                         // none: no guest can have a vTPM
};

/// One domain that the builder starts by itself, through the same steps as any other: measured,
/// asked of the policy (as the peer `boot = true`), recorded.
struct BootDomain {
  measure::DomainConfiguration configuration;
  std::string kernel;               // path in the builder domain
  std::vector<std::string> initrds; // likewise
  std::string command_line;
  bool requester = false; // may connect by vchan
  bool essential = false; // when it ends for good, the builder exits with essential_domain_ended
  /// It runs ashlar-tpm-manager: started first, and the others wait until it has the hardware TPM.
  bool tpm_manager = false;
  bool vtpm_state_store = false;              // it runs ashlar-vtpm-store
  std::vector<constructor::IoPages> io_pages; // key: iomem = [{ first_page = …, pages = … }]
};

/// Exit status of the builder when an essential domain has ended: the machine has nothing left to
/// do.
inline constexpr int essential_domain_ended = 10;

/// Errors: not_found, io, limit, invalid with file:line:column.
[[nodiscard]] Result<Settings> read_settings(const std::string& path);
[[nodiscard]] Result<Settings> parse_settings(std::string_view text, const std::string& path);
/// What would fail only later, or not at all: that run_directory is on a tmpfs, and that the
/// programs are in libexec_directory. Errors: invalid, not_found, denied.
[[nodiscard]] Status check_places(const Settings& settings);
[[nodiscard]] Result<std::vector<BootDomain>> read_boot_manifest(const std::string& path);
[[nodiscard]] Result<std::vector<BootDomain>> parse_boot_manifest(std::string_view text,
                                                                  const std::string& path);

} // namespace ashlar::broker
