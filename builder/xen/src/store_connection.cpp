// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/xen/store_connection.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

#include "xen_headers.hpp"

namespace ashlar::xen {

namespace {
struct Freer {
  void operator()(void* memory) const { std::free(memory); }
};
template <typename T>
using CMemory = std::unique_ptr<T, Freer>; // what libxenstore allocated
} // namespace

Result<std::unique_ptr<StoreConnection>> StoreConnection::open() {
  xs_handle* handle = xs_open(0);
  if (handle == nullptr)
    return errno_failure("connecting to xenstored", "is xenstored running in this domain?");
  return std::unique_ptr<StoreConnection>(new StoreConnection(handle));
}

StoreConnection::~StoreConnection() {
  xs_close(handle_);
}

Result<std::string> StoreConnection::read(const std::string& path) {
  unsigned length = 0;
  const CMemory<void> value(xs_read(handle_, transaction_, path.c_str(), &length));
  if (!value)
    return errno_failure("reading xenstore node " + path);
  return std::string(static_cast<const char*>(value.get()), length);
}

Status StoreConnection::write(const std::string& path, const std::string& value) {
  if (!xs_write(handle_, transaction_, path.c_str(), value.data(),
                static_cast<unsigned>(value.size())))
    return errno_failure("writing xenstore node " + path);
  return {};
}

Status StoreConnection::write(const StoreNode& node) {
  if (node.value)
    TRY(write(node.path, *node.value));
  if (!node.permission)
    return {};
  std::array<xs_permissions, 2> entries = {};
  entries[0].id = node.permission->owner;
  entries[0].perms = XS_PERM_NONE;
  entries[1].id = node.permission->reader.value_or(0);
  entries[1].perms = XS_PERM_READ;
  if (!xs_set_permissions(handle_, transaction_, node.path.c_str(), entries.data(),
                          node.permission->reader ? 2 : 1))
    return errno_failure("setting the permissions of xenstore node " + node.path);
  return {};
}

Result<std::vector<std::string>> StoreConnection::list(const std::string& path) {
  unsigned count = 0;
  const CMemory<char*> names(xs_directory(handle_, transaction_, path.c_str(), &count));
  if (!names)
    return errno_failure("listing xenstore node " + path);
  const std::span<char*> entries(names.get(), count);
  return std::vector<std::string>(entries.begin(), entries.end());
}

Status StoreConnection::remove(const std::string& path) {
  if (!xs_rm(handle_, transaction_, path.c_str()) && errno != ENOENT)
    return errno_failure("removing xenstore node " + path);
  return {};
}

Status StoreConnection::remove_domain(std::uint32_t domid, const measure::Uuid& uuid) {
  const std::string vm = "/vm/" + measure::to_string(uuid);
  const std::string home = fmt::format("/local/domain/{}", domid);
  const auto owner = read(home + "/vm");
  if (!owner && owner.error().code != ErrorCode::not_found)
    return std::unexpected(owner.error());
  // The domid may belong to a later domain by now: its nodes are not ours to remove.
  if (owner && *owner != vm)
    return {};
  TRY(remove(fmt::format("/libxl/{}", domid)));
  // Nor is this one's node, where the home is gone: a guest that was built anew keeps its UUID.
  if (owner)
    TRY(remove(vm));
  return remove(home); // last: whoever has to begin again finds what is left
}

Status StoreConnection::introduce(std::uint32_t domid, std::uint64_t ring_page,
                                  std::uint32_t port) {
  if (!xs_introduce_domain(handle_, domid, ring_page, port))
    return errno_failure(fmt::format("introducing domain {} to xenstored", domid));
  return {};
}

Status StoreConnection::in_transaction(const std::string& doing,
                                       const std::function<Status()>& body) {
  for (int attempt = 0; attempt < transaction_attempts; attempt++) {
    transaction_ = xs_transaction_start(handle_);
    if (transaction_ == XBT_NULL)
      return errno_failure(doing + ": starting the xenstore transaction");
    const Status written = body();
    const bool ended = xs_transaction_end(handle_, transaction_, !written);
    transaction_ = XBT_NULL;
    if (!written || ended)
      return written;
    if (errno != EAGAIN)
      return errno_failure(doing + ": committing the xenstore transaction");
  }
  return failure(
      ErrorCode::busy, doing,
      fmt::format("other writers came between in {} attempts; try again", transaction_attempts));
}

} // namespace ashlar::xen
