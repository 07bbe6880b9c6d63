// SPDX-License-Identifier: LGPL-2.1-or-later
#include "xsm_label.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/domain_configuration.hpp"
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

Status require_same_label(const std::string& label, std::string_view meant) {
  if (label == meant)
    return {};
  return failure(ErrorCode::invalid, fmt::format("giving the domain the XSM label \"{}\"", label),
                 fmt::format("Xen takes it for \"{}\": ask for that, if it is meant; where it is "
                             "Xen's own label, no policy is loaded yet",
                             printable(meant)));
}

Result<std::uint32_t> label_number(xen::Control& control, const std::string& label) {
  std::string text = label; // libxenctrl takes a buffer that it could write to
  std::uint32_t number = 0;
  if (xc_flask_context_to_sid(control.handle(), text.data(),
                              static_cast<std::uint32_t>(text.size()), &number) != 0)
    return std::unexpected(label_error(label, errno));
  std::array<char, measure::max_xsm_label_bytes + 1> meant{};
  if (xc_flask_sid_to_context(control.handle(), static_cast<int>(number), meant.data(),
                              static_cast<std::uint32_t>(meant.size())) != 0)
    return std::unexpected(label_error(label, errno));
  TRY(require_same_label(label, {meant.data(), strnlen(meant.data(), meant.size())}));
  return number;
}

} // namespace ashlar::constructor
