// SPDX-License-Identifier: LGPL-2.1-or-later
// What the constructor process gives up.
#pragma once

#include "ashlar/base/result.hpp"

namespace ashlar::constructor {

/// Makes the kernel kill this process when its parent dies, and checks that the parent is still
/// alive: by its process id at the start of main(), and by `report_fd`, whose reader it is. Errors:
/// cancelled.
[[nodiscard]] Status die_with_parent(int parent, int report_fd);

/// Closes all descriptors from `first` on: nothing that the parent left open by mistake comes
/// along.
[[nodiscard]] Status close_from(int first);

/// Gives up what building needs no longer once the hypervisor and xenstored are connected: all
/// capabilities, new privileges by exec, and core dumps (guest memory could be in one). The network
/// was left by the broker.
[[nodiscard]] Status confine();

} // namespace ashlar::constructor
