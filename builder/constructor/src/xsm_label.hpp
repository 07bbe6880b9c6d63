// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/xen/control.hpp"

namespace ashlar::constructor {

/// Xen's number for an XSM label, for the call that creates a domain (FLASK_CONTEXT_TO_SID of
/// xen/include/public/xsm/flask_op.h). `label` is a requester's, in measure::validate()'s charset.
/// Errors: unsupported (a Xen without XSM), invalid (its policy has no such label), and Xen's
/// others. A domain with another label than the one that was measured is never built instead.
[[nodiscard]] Result<std::uint32_t> label_number(xen::Control& control, const std::string& label);

/// The Error for a label that Xen refused with this errno.
[[nodiscard]] Error label_error(const std::string& label, int system_errno);

} // namespace ashlar::constructor
