// SPDX-License-Identifier: LGPL-2.1-or-later
// Debian has fmt as a shared library or as headers only. Compiled with -fkeep-inline-functions,
// this is what our code calls of that library, for programs that are linked without it.
#define FMT_HEADER_ONLY
#include <fmt/format.h>

namespace {
[[gnu::used]] std::string (*const format_function)(fmt::string_view,
                                                   fmt::format_args) = &fmt::vformat;
}
