// SPDX-License-Identifier: LGPL-2.1-or-later
// What nearly every file of ours includes and takes longest to parse, parsed once for each library. A
// file still includes what it uses: builds without precompiled headers (./dev sanitize, ./dev fuzz) fail
// where one does not.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
