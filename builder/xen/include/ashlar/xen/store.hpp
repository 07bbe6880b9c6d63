// SPDX-License-Identifier: LGPL-2.1-or-later
// What the broker reads and writes in xenstore.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/record.hpp"
#include "ashlar/xen/store_node.hpp"

namespace ashlar::xen {

class Store {
public:
  virtual ~Store() = default;
  /// Readable when next_event() may have something.
  [[nodiscard]] virtual int descriptor() const = 0;
  /// Watches a path or a special like "@releaseDomain"; events carry the changed path.
  [[nodiscard]] virtual Status watch(const std::string& path) = 0;
  [[nodiscard]] virtual Status unwatch(const std::string& path) = 0;
  /// The next watch event's path, or nothing when none waits. Never blocks.
  [[nodiscard]] virtual std::optional<std::string> next_event() = 0;

  [[nodiscard]] virtual Result<std::string> read(const std::string& path) = 0;
  [[nodiscard]] virtual Status write(const std::string& path, const std::string& value) = 0;
  [[nodiscard]] virtual Result<std::vector<std::string>> list(const std::string& path) = 0;
  /// Removes a node and all below it; a node that is not there is success.
  [[nodiscard]] virtual Status remove(const std::string& path) = 0;

  /// In one transaction, removes `stale` with all below it, then writes the nodes, parents first.
  [[nodiscard]] virtual Status replace(const std::string& stale,
                                       const std::vector<StoreNode>& nodes) = 0;

  /// In one transaction, writes the nodes (but see StoreNode::unless) if `path` is there; that it
  /// is not is success. A domain that removes its nodes at the same time gets none of them back.
  [[nodiscard]] virtual Status update(const std::string& path,
                                      const std::vector<StoreNode>& nodes) = 0;

  /// Removes every node that the constructor wrote for a domain: /local/domain/N, /vm/UUID,
  /// /libxl/N.
  [[nodiscard]] virtual Status remove_domain(std::uint32_t domid, const measure::Uuid& uuid) = 0;
  /// Writes control/shutdown ("poweroff" or "reboot") for the guest to act on.
  [[nodiscard]] virtual Status request_shutdown(std::uint32_t domid, const std::string& how) = 0;
};
[[nodiscard]] Result<std::unique_ptr<Store>> open_store();

} // namespace ashlar::xen
