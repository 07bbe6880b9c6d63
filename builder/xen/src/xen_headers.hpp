// SPDX-License-Identifier: LGPL-2.1-or-later
// libxenctrl's headers are C without guards for C++.
#pragma once

// The headers want these before them.
#include <cstdint>
#include <cstdio>

extern "C" {
#include <xenctrl.h>
#include <xenstore.h>
#include <xentoollog.h>
}
