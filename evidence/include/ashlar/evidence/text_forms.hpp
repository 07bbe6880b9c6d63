// SPDX-License-Identifier: LGPL-2.1-or-later
// Binary structures as the texts that other tools take.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/evidence/key.hpp"
#include "ashlar/evidence/pcr_list.hpp"

namespace ashlar::evidence {

/// On one line. Errors: internal.
[[nodiscard]] Result<std::string> base64(std::span<const std::byte> bytes);

/// A PEM block of this name ("CERTIFICATE") around DER bytes, which are not looked into. Errors:
/// internal.
[[nodiscard]] Result<std::string> pem_block(const std::string& name,
                                            std::span<const std::byte> der);

/// "BEGIN PUBLIC KEY", as read_keys() reads it. Errors: internal.
[[nodiscard]] Result<std::string> pem_of(const Key& key);

/// The lines of a host.pcrs for read_pcr_choices(): of PCRs 0 to 7, those that are not zeros; the
/// others as comments. A comment says where the values come from.
[[nodiscard]] std::string firmware_reference(const PcrList& pcrs);

} // namespace ashlar::evidence
