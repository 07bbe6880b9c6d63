// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/constructor/domain_guard.hpp"

#include <utility>

namespace ashlar::constructor {

DomainGuard::DomainGuard(DomainGuard&& other) noexcept
    : control_(other.control_), store_(other.store_), domid_(other.domid_), uuid_(other.uuid_),
      armed_(std::exchange(other.armed_, false)) {}

DomainGuard::~DomainGuard() {
  // There is nobody to tell here; whoever wants to know calls undo() first.
  [[maybe_unused]] const Status ignored = undo();
}

Status DomainGuard::undo() {
  if (!std::exchange(armed_, false))
    return {};
  const Status destroyed = control_->destroy(domid_, uuid_);
  const Status removed = store_->remove_domain(domid_, uuid_);
  return destroyed ? removed : destroyed;
}

} // namespace ashlar::constructor
