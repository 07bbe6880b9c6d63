// SPDX-License-Identifier: LGPL-2.1-or-later
// The rings themselves need Xen: the system tests use them.
#include <doctest/doctest.h>

#include "ashlar/ipc/vchan.hpp"

using namespace ashlar;
using namespace ashlar::ipc;

TEST_CASE("vchan: a token is 8 to 16 lower-case hexadecimal digits") {
  CHECK(valid_vchan_token("01234567"));
  CHECK(valid_vchan_token("0123456789abcdef"));
  for (const char* bad :
       {"", "0123456", "0123456789abcdef0", "0123456A", "0123456g", "../../..", "01234567\n"})
    CHECK_FALSE(valid_vchan_token(bad));
}

TEST_CASE("vchan: the path of any two domains fits into libxenvchan's buffer") {
  const std::string path = vchan_server_path(32751, 32751, "01234567");
  CHECK(path == "/local/domain/32751/data/ashlar/32751/01234567");
  CHECK(path.size() <= max_vchan_path_bytes);
}

TEST_CASE("vchan: a path that libxenvchan would cut is refused") {
  const auto served =
      serve_vchan(1, std::string(max_vchan_path_bytes + 1, 'x'), RingBytes::for_images);
  REQUIRE_FALSE(served);
  CHECK(served.error().code == ErrorCode::limit);
}

TEST_CASE("vchan: an invitation names the builder's domain, unless it is domain 0") {
  CHECK(vchan_invitation(0, RingBytes::for_images) == "connect");
  CHECK(vchan_invitation(9, RingBytes::for_images) == "connect 9");
}

TEST_CASE("vchan: an invitation says which rings it is for; nothing else is one") {
  CHECK(vchan_invitation(0, RingBytes::for_messages) == "connect small");
  CHECK(vchan_invitation(9, RingBytes::for_messages) == "connect 9 small");
  for (const std::uint32_t builder : {0U, 9U})
    for (const RingBytes rings : {RingBytes::for_images, RingBytes::for_messages})
      CHECK(wanted_rings(vchan_invitation(builder, rings), builder) == rings);
  for (const char* other : {"", "connect 9", "connect 9 small", "connect  small", "connect small ",
                            "connect large", "ready", "refused: no"})
    CHECK_FALSE(wanted_rings(other, 0));
}
