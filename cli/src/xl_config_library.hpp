// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

extern "C" {
#include <libxlutil.h>
}

#include "ashlar/base/result.hpp"

namespace ashlar::cli {

/// Xen's reader of xl.cfg(5) files, loaded when the first such file is to be read: with
/// libxenlight, on which it depends, it brings thirteen libraries, whose loading took other
/// commands a third of their time. Pointers to functions of libxlutil.h, valid as long as the
/// process lives.
struct XlConfigLibrary {
  decltype(&xlu_cfg_init) init = nullptr;
  decltype(&xlu_cfg_readdata) readdata = nullptr;
  decltype(&xlu_cfg_destroy) destroy = nullptr;
  decltype(&xlu_cfg_get_string) get_string = nullptr;
  decltype(&xlu_cfg_get_bounded_long) get_bounded_long = nullptr;
  decltype(&xlu_cfg_get_list) get_list = nullptr;

  /// Errors: not_found (the library is not installed, or has not these functions).
  [[nodiscard]] static Result<XlConfigLibrary> load();
};

} // namespace ashlar::cli
