// SPDX-License-Identifier: LGPL-2.1-or-later
// No half-built domain survives an error.
#pragma once

#include <cstdint>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/record.hpp"
#include "ashlar/xen/control.hpp"
#include "ashlar/xen/store_connection.hpp"

namespace ashlar::constructor {

/// Owns a domain until commit(): destroys it and removes its xenstore nodes at the end of its
/// scope. The connections must outlive it.
class DomainGuard {
public:
  DomainGuard(xen::Control& control, xen::StoreConnection& store, std::uint32_t domid,
              const measure::Uuid& uuid)
      : control_(&control), store_(&store), domid_(domid), uuid_(uuid) {}
  DomainGuard(DomainGuard&& other) noexcept;
  DomainGuard& operator=(DomainGuard&&) = delete;
  DomainGuard(const DomainGuard&) = delete;
  DomainGuard& operator=(const DomainGuard&) = delete;
  ~DomainGuard();

  [[nodiscard]] std::uint32_t domid() const { return domid_; }
  /// The domain stays.
  void commit() { armed_ = false; }
  /// Destroys now, so that a failure to do so can be reported. The nodes are removed in any case.
  [[nodiscard]] Status undo();

private:
  xen::Control* control_;
  xen::StoreConnection* store_;
  std::uint32_t domid_;
  measure::Uuid uuid_;
  bool armed_ = true;
};

} // namespace ashlar::constructor
