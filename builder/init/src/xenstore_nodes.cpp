// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/xenstore_nodes.hpp"

#include <unistd.h>

#include <memory>
#include <string_view>

#include <fmt/format.h>

extern "C" {
#include <xenstore.h>
#include <xenstore_lib.h>
}

namespace ashlar::init {

namespace {

struct CloseStore {
  void operator()(xs_handle* store) const { xs_close(store); }
};
using StoreHandle = std::unique_ptr<xs_handle, CloseStore>;

Status write_node(xs_handle& store, const char* path, std::string_view value) {
  if (!xs_write(&store, XBT_NULL, path, value.data(), static_cast<unsigned>(value.size())))
    return errno_failure(fmt::format("writing the xenstore node {}", path));
  return {};
}

} // namespace

Status prepare_xenstore(int timeout_ms) {
  constexpr int step_ms = 20;
  // Without xenstored's socket xs_open() takes the kernel's device, which waits for ever.
  const auto connect = [] {
    return StoreHandle(::access(xs_daemon_socket(), F_OK) == 0 ? xs_open(0) : nullptr);
  };
  StoreHandle store = connect();
  for (int waited = 0; !store && waited < timeout_ms; waited += step_ms) {
    ::usleep(step_ms * 1000);
    store = connect();
  }
  if (!store)
    return failure(ErrorCode::timeout, "connecting to xenstored",
                   fmt::format("it did not answer within {} ms", timeout_ms));
  TRY(write_node(*store, "/local/domain/0/name", "Domain-0"));
  return write_node(*store, "/local/domain/0/domid", "0");
}

} // namespace ashlar::init
