// SPDX-License-Identifier: LGPL-2.1-or-later
// Which vTPM domain belongs to which guest, as the builder tells the TPM Manager.
#pragma once

#include <cstdint>

#include "ashlar/measure/domain_configuration.hpp"
#include "ashlar/measure/pcr_profile.hpp"

namespace ashlar::tpm {

/// Both domains have records that hold; the domids are those of the records. A vTPM belongs to one
/// guest, and a guest has one vTPM.
struct Binding {
  std::uint64_t guest_serial = 0;
  std::uint64_t vtpm_serial = 0;
  measure::Vtpm version = measure::Vtpm::tpm20; // never none
  measure::Profile profile = measure::Profile::uapi;
  bool operator==(const Binding&) const = default;
};

} // namespace ashlar::tpm
