// SPDX-License-Identifier: LGPL-2.1-or-later
// The one function of libxenlight that libxlutil's parsers call. With that library would come
// fifteen more, to be loaded at each start of the command.
extern "C" {
#include <libxl.h>
}

namespace {
// LIBXL__DEFBOOL_TRUE and LIBXL__DEFBOOL_FALSE of Xen's tools/libs/light: 0 would be "not said".
constexpr int said_true = 1;
constexpr int said_false = -1;
} // namespace

void libxl_defbool_set(libxl_defbool* value, bool wanted) {
  value->val = wanted ? said_true : said_false;
}
