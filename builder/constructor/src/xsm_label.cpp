// SPDX-License-Identifier: LGPL-2.1-or-later
#include "xsm_label.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "xen_guest_headers.hpp"

namespace ashlar::constructor {

Error label_error(const std::string& label, int system_errno) {
  const std::string doing = fmt::format("giving the domain the XSM label \"{}\"", label);
  if (system_errno == ENOSYS || system_errno == EOPNOTSUPP)
    return {
        ErrorCode::unsupported, doing,
        "this Xen has no XSM, or runs without it: leave the label out (xsm_label, seclabel), or "
        "boot a Xen with CONFIG_XSM, flask=enforcing and a policy that has the label",
        system_errno};
  if (system_errno == EINVAL)
    return {ErrorCode::invalid, doing,
            "the policy that Xen has loaded knows no such label: correct it, or load a policy that "
            "has it",
            system_errno};
  return {ErrorCode::io, doing, "asking Xen for its number failed", system_errno};
}

Result<std::uint32_t> label_number(xen::Control& control, const std::string& label) {
  std::string text = label; // libxenctrl takes a buffer that it could write to
  std::uint32_t number = 0;
  if (xc_flask_context_to_sid(control.handle(), text.data(),
                              static_cast<std::uint32_t>(text.size()), &number) != 0)
    return std::unexpected(label_error(label, errno));
  return number;
}

} // namespace ashlar::constructor
