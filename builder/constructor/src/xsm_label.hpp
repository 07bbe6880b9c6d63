// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ashlar/base/result.hpp"
#include "ashlar/xen/control.hpp"

namespace ashlar::constructor {

/// Xen's number for an XSM label, for the call that creates a domain (FLASK_CONTEXT_TO_SID of
/// xen/include/public/xsm/flask_op.h). `label` is a requester's, in measure::validate()'s charset.
/// Errors: unsupported (a Xen without XSM), invalid (its policy has no such label, or writes it in
/// another way), and Xen's others. A domain with another label than the one that was measured is
/// never built instead.
[[nodiscard]] Result<std::uint32_t> label_number(xen::Control& control, const std::string& label);

/// Xen's translation back of the number must be the label as it was asked for, decided on and
/// measured: one label has several spellings ("s0" is "s0-s0"), and a Xen without a policy takes
/// every text for its own initial label. Errors: invalid.
[[nodiscard]] Status require_same_label(const std::string& label, std::string_view meant);

/// The Error for a label that Xen refused with this errno.
[[nodiscard]] Error label_error(const std::string& label, int system_errno);

} // namespace ashlar::constructor
