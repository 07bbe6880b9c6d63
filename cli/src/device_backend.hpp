// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "ashlar/base/result.hpp"

namespace ashlar::cli {

/// The domain that has a device, as an admin names it: null (nothing is said) and "0" are domain 0.
/// `doing` is the error's. Errors: invalid, for another number.
[[nodiscard]] Result<std::string> backend_of(const char* text, const std::string& doing);

} // namespace ashlar::cli
