// SPDX-License-Identifier: LGPL-2.1-or-later
// libxenctrl's and libxenguest's headers are C without guards for C++.
#pragma once

// The headers want these before them.
#include <cstdint>
#include <cstdio>

extern "C" {
#include <xenctrl.h>
#include <xenguest.h>

// After xenctrl.h, which asks Xen's public headers for the tools' part of them.
#include <xen/hvm/params.h>
}
