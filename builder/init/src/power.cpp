// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/power.hpp"

#include <sys/reboot.h>
#include <unistd.h>

#include "ashlar/base/log.hpp"

namespace ashlar::init {

void power_off() {
  log::notice("powering off");
  ::sync();
  ::reboot(RB_POWER_OFF);
  // Only without the privilege: process 1 must not return, for the kernel would panic.
  log::error("powering off: the kernel refused; waiting for the power switch");
  while (true)
    ::pause();
}

} // namespace ashlar::init
