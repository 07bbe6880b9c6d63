// SPDX-License-Identifier: LGPL-2.1-or-later
// The states of a device's end, as its node `state` has them (Xen: xen/include/public/io/xenbus.h).
#pragma once

namespace ashlar::broker::xenbus {

inline constexpr const char* initialising = "1"; // XenbusStateInitialising
inline constexpr const char* closing = "5";      // XenbusStateClosing
inline constexpr const char* closed = "6";       // XenbusStateClosed

} // namespace ashlar::broker::xenbus
