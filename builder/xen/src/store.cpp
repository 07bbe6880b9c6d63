// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/xen/store.hpp"

#include <cstdlib>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/xen/store_connection.hpp"
#include "xen_headers.hpp"

namespace ashlar::xen {

namespace {
class RealStore final : public Store {
public:
  explicit RealStore(std::unique_ptr<StoreConnection> connection)
      : connection_(std::move(connection)) {}

  int descriptor() const override { return xs_fileno(connection_->handle()); }

  // The path is its own token: one watch a path is enough.
  Status watch(const std::string& path) override {
    if (!xs_watch(connection_->handle(), path.c_str(), path.c_str()))
      return errno_failure("watching xenstore node " + path);
    return {};
  }
  Status unwatch(const std::string& path) override {
    if (!xs_unwatch(connection_->handle(), path.c_str(), path.c_str()))
      return errno_failure("ending the watch on xenstore node " + path);
    return {};
  }
  std::optional<std::string> next_event() override {
    char** event = xs_check_watch(connection_->handle());
    if (event == nullptr)
      return std::nullopt;
    std::string path = event[XS_WATCH_PATH];
    std::free(static_cast<void*>(event));
    return path;
  }

  Result<std::string> read(const std::string& path) override { return connection_->read(path); }
  Status write(const std::string& path, const std::string& value) override {
    return connection_->write(path, value);
  }
  Result<std::vector<std::string>> list(const std::string& path) override {
    return connection_->list(path);
  }
  Status remove(const std::string& path) override { return connection_->remove(path); }
  Status replace(const std::string& stale, const std::vector<StoreNode>& nodes) override {
    return connection_->in_transaction("writing " + stale, [&]() -> Status {
      TRY(connection_->remove(stale));
      for (const StoreNode& node : nodes)
        TRY(connection_->write(node));
      return {};
    });
  }
  Status update(const std::string& path, const std::vector<StoreNode>& nodes) override {
    return connection_->in_transaction("changing " + path, [&]() -> Status {
      if (const Result<std::string> there = connection_->read(path); !there)
        return there.error().code == ErrorCode::not_found ? Status{}
                                                          : std::unexpected(there.error());
      for (const StoreNode& node : nodes)
        if (!node.unless || connection_->read(node.path) != node.unless)
          TRY(connection_->write(node));
      return {};
    });
  }
  Status remove_domain(std::uint32_t domid, const measure::Uuid& uuid) override {
    return connection_->remove_domain(domid, uuid);
  }

  Status request_shutdown(std::uint32_t domid, const std::string& how) override {
    if (how != "poweroff" && how != "reboot")
      return failure(
          ErrorCode::invalid, fmt::format("asking domain {} to shut down", domid),
          fmt::format("\"{}\" is neither \"poweroff\" nor \"reboot\"", printable(how, 32)));
    return connection_->write(fmt::format("/local/domain/{}/control/shutdown", domid), how);
  }

private:
  std::unique_ptr<StoreConnection> connection_;
};
} // namespace

Result<std::unique_ptr<Store>> open_store() {
  return std::make_unique<RealStore>(TRY(StoreConnection::open()));
}

} // namespace ashlar::xen
