// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/tpm/pcr.hpp"

namespace ashlar::tpm {

/// The command line of ashlar-tpm-manager. Defaults are those of a domain of its own.
struct Settings {
  std::string listen = "vchan"; // "vchan", or "unix:PATH"
  std::uint32_t builder_domid = 0;
  std::string tpm = "device:/dev/tpm0"; // see open_host_tpm
  std::uint32_t pcr = default_host_pcr;
  std::string vtpm_images; // path, see ApprovedImages; empty: no vTPM is served
  // Where the sealed vTPM keys are; none: they end with the manager's domain.
  enum class KeyPlace : std::uint8_t { none, directory, store };
  KeyPlace key_place = KeyPlace::none;
  std::string key_directory;
  std::vector<std::uint32_t> seal_pcrs = {0, 1, 2, 3, 4, 7}; // firmware, Xen and builder
  std::string run_directory = "/run/ashlar-tpm-manager";     // in a tmpfs: gone after a reboot
};

/// Reads the arguments after the program's name, "--key value" each. Errors: invalid, naming the
/// argument and what it may be.
[[nodiscard]] Result<Settings> parse_arguments(std::span<const char* const> arguments);

} // namespace ashlar::tpm
