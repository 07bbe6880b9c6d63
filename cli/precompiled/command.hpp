// SPDX-License-Identifier: LGPL-2.1-or-later
// As base/precompiled/standard.hpp, for the command: it writes JSON in most of its files.
#include "../../base/precompiled/standard.hpp"

#include <nlohmann/json.hpp>
