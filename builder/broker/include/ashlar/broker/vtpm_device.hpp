// SPDX-License-Identifier: LGPL-2.1-or-later
// The xenstore nodes of a vTPM device (xen/include/public/io/tpmif.h): what libxl would write.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/measure/record.hpp"
#include "ashlar/xen/store.hpp"

namespace ashlar::broker {

struct Services;

/// What a device is for, as its xenstore directories say it.
inline constexpr std::string_view device_vtpm = "vtpm";
// Where a vTPM keeps its state, and the TPM Manager its keys to those.
inline constexpr std::string_view device_vtpm_state = "vtpm-state";

/// One device: the frontend's domain uses it, the backend's is it.
struct VtpmDevice {
  std::string_view kind = device_vtpm;
  std::uint32_t frontend = 0;
  std::uint32_t backend = 0;
  measure::Uuid uuid{};                        // the guest's: whose TPM it is
  measure::Vtpm version = measure::Vtpm::none; // none: it is the TPM Manager's, no TPM itself
  // device_vtpm_state: whose guest it is; empty: the TPM Manager's own device.
  std::string requester = {};
};

/// Writes both ends' nodes: state 1 (Initialising) in each, handle 0. Each domain owns its end and
/// can read the other's; the builder owns the directories above. Both domains must exist: xenstored
/// ignores permissions for those that do not. Errors: io.
[[nodiscard]] Status write_vtpm_device(xen::Store& store, const VtpmDevice& device);

/// Gives the TPM Manager's domain its device to the domain that stores its keys, when both run and
/// it has none to that domain yet. Errors: io.
[[nodiscard]] Status offer_key_store(Services& services);

} // namespace ashlar::broker
