// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>

namespace ashlar::init {

/// What the kernel command line asks of init. It comes from the boot loader, which is as trusted as
/// the appliance itself.
struct KernelParameters {
  /// ashlar.relay=NAME: the console log of domain NAME is copied to the appliance's console.
  std::string relay;
  /// ashlar.shell=TTY: a root shell on /dev/TTY. Only in an image that holds busybox.
  std::string shell;
  /// ashlar.builder=manual: the builder is not started. Only in an image that holds busybox.
  bool builder_by_hand = false;
};

/// Reads the parameters out of the text of /proc/cmdline. Others are the kernel's and are skipped;
/// the last of several equal names counts, as for the kernel.
[[nodiscard]] KernelParameters parse_kernel_parameters(std::string_view command_line);

} // namespace ashlar::init
