// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/address.hpp"

#include <unistd.h>

namespace ashlar::cli {

Result<std::string> builder_address(const std::string& given) {
  if (!given.empty())
    return given;
  if (access(default_socket, F_OK) == 0)
    return std::string("unix:") + default_socket;
  if (access("/dev/xen/evtchn", F_OK) == 0)
    return std::string("vchan:0");
  return failure(ErrorCode::not_found, "looking for the builder",
                 std::string("there is neither ") + default_socket +
                     " nor /dev/xen/evtchn; say where it is with --host or ASHLAR_HOST");
}

} // namespace ashlar::cli
