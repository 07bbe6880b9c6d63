// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "ashlar/base/result.hpp"

namespace ashlar::cli {

/// Where the builder listens when it runs as a service in this domain.
inline constexpr const char* default_socket = "/run/ashlar/ashlar.sock";

/// The builder's address: `given` when it is not empty; else the default socket if it exists; else
/// vchan:0 in a domain with Xen's devices. Errors: not_found, with what to do; invalid and limit of
/// one that was given and can be none.
[[nodiscard]] Result<std::string> builder_address(const std::string& given);

} // namespace ashlar::cli
