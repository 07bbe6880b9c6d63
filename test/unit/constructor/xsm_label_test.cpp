// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <cerrno>

#include "xsm_label.hpp"

using namespace ashlar;
using namespace ashlar::constructor;

TEST_CASE("XSM label: a Xen without XSM, and one that does not know it, are told apart") {
  const std::string label = "system_u:system_r:domU_t";
  const Error none = label_error(label, ENOSYS);
  CHECK(none.code == ErrorCode::unsupported);
  CHECK(none.doing.find(label) != std::string::npos);
  CHECK(none.why.find("no XSM") != std::string::npos);
  CHECK(none.why.find("leave the label out") != std::string::npos);
  const Error unknown = label_error(label, EINVAL);
  CHECK(unknown.code == ErrorCode::invalid);
  CHECK(unknown.why.find("knows no such label") != std::string::npos);
  CHECK(label_error(label, EPERM).code == ErrorCode::io);
}

TEST_CASE("xsm label: a spelling that Xen writes in another way is refused") {
  CHECK(require_same_label("system_u:system_r:domU_t", "system_u:system_r:domU_t"));
  for (const char* meant : {"system_u:system_r:domU_t:", "system_u:system_r:xen_t", ""}) {
    const Status same = require_same_label("system_u:system_r:domU_t", meant);
    REQUIRE_FALSE(same);
    CHECK(same.error().code == ErrorCode::invalid);
    CHECK(same.error().message().contains(meant));
  }
}
