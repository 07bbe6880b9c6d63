// SPDX-License-Identifier: LGPL-2.1-or-later
#include "xl_config_library.hpp"

#include <dlfcn.h>

namespace ashlar::cli {

namespace {

// Its functions may change with each release of Xen: the one whose headers this was compiled with.
constexpr const char* file_name = "libxlutil.so." ASHLAR_XLUTIL_VERSION;

std::unexpected<Error> loading_failed() {
  const char* why = dlerror();
  return failure(ErrorCode::not_found, "loading the reader of xl.cfg files",
                 std::string(why ? why : file_name) +
                     "; install Xen's libraries (Debian: libxenmisc4.17), or give the guest by "
                     "options instead of a file");
}

template <typename Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

} // namespace

Result<XlConfigLibrary> XlConfigLibrary::load() {
  void* const library = dlopen(file_name, RTLD_NOW | RTLD_LOCAL); // for good
  XlConfigLibrary functions;
  if (library == nullptr || !find(library, "xlu_cfg_init", functions.init) ||
      !find(library, "xlu_cfg_readdata", functions.readdata) ||
      !find(library, "xlu_cfg_destroy", functions.destroy) ||
      !find(library, "xlu_cfg_get_string", functions.get_string) ||
      !find(library, "xlu_cfg_get_bounded_long", functions.get_bounded_long) ||
      !find(library, "xlu_cfg_get_list", functions.get_list))
    return loading_failed();
  return functions;
}

} // namespace ashlar::cli
