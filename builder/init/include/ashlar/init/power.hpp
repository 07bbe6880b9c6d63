// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

namespace ashlar::init {

/// Writes back what is cached and powers the machine off. Does not return.
[[noreturn]] void power_off();

} // namespace ashlar::init
