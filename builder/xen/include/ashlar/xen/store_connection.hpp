// SPDX-License-Identifier: LGPL-2.1-or-later
// The owner of a libxenstore handle, and transactions on it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/record.hpp"
#include "ashlar/xen/store_node.hpp"

struct xs_handle; // xenstore.h

namespace ashlar::xen {

/// An open connection to xenstored. Paths are absolute; values are bytes, mostly texts. Errors of
/// all members: not_found, denied, io with the path in them.
class StoreConnection {
public:
  [[nodiscard]] static Result<std::unique_ptr<StoreConnection>> open();
  StoreConnection(const StoreConnection&) = delete;
  StoreConnection& operator=(const StoreConnection&) = delete;
  ~StoreConnection();

  [[nodiscard]] xs_handle* handle() const { return handle_; }

  [[nodiscard]] Result<std::string> read(const std::string& path);
  [[nodiscard]] Status write(const std::string& path, const std::string& value);
  /// What the node has of a value and a permission.
  [[nodiscard]] Status write(const StoreNode& node);
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& path);
  /// Removes a node and all below it; a node that is not there is success.
  [[nodiscard]] Status remove(const std::string& path);
  /// /local/domain/N, /vm/UUID and /libxl/N; the first and the last only while they are this
  /// UUID's.
  [[nodiscard]] Status remove_domain(std::uint32_t domid, const measure::Uuid& uuid);
  /// Tells xenstored of a domain's ring page (MFN of a PV domain, PFN of a translated one) and
  /// port.
  [[nodiscard]] Status introduce(std::uint32_t domid, std::uint64_t ring_page, std::uint32_t port);

  /// Runs `body` in one transaction: all of its writes are seen, or none. It runs again when
  /// somebody else's writes came between (at most transaction_attempts times, then busy).
  [[nodiscard]] Status in_transaction(const std::string& doing,
                                      const std::function<Status()>& body);
  static constexpr int transaction_attempts = 32;

private:
  explicit StoreConnection(xs_handle* handle) : handle_(handle) {}
  xs_handle* handle_;
  std::uint32_t transaction_ = 0; // the one that all calls belong to; 0 is none
};

} // namespace ashlar::xen
