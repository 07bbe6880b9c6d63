// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/domains.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ashlar::broker {

Status Domains::add(Domain domain) {
  // Xen has given the domid anew before we heard that its earlier owner is gone.
  if (const Domain* gone = find(domain.domid())) {
    TRY(journal_.revoked(gone->record.serial));
    TRY(journal_.abandoned(gone->record.serial));
  }
  TRY(journal_.built(domain));
  adopt(std::move(domain));
  return {};
}

void Domains::adopt(Domain domain) {
  const std::uint32_t domid = domain.domid();
  domains_.insert_or_assign(domid, std::move(domain));
  changed_();
}

const Domain* Domains::find(std::uint32_t domid) const {
  const auto found = domains_.find(domid);
  return found == domains_.end() ? nullptr : &found->second;
}

const Domain* Domains::find_name(std::string_view name) const {
  const auto found = std::ranges::find_if(
      domains_, [name](const auto& entry) { return entry.second.name() == name; });
  return found == domains_.end() ? nullptr : &found->second;
}

const Domain* Domains::find_uuid(const measure::Uuid& uuid) const {
  const auto found = std::ranges::find_if(
      domains_, [&uuid](const auto& entry) { return entry.second.uuid() == uuid; });
  return found == domains_.end() ? nullptr : &found->second;
}

Status Domains::unpause(std::uint32_t domid) {
  const Domain* domain = find(domid);
  if (!domain)
    return failure(ErrorCode::not_found, fmt::format("unpausing domain {}", domid), "it is gone");
  const std::uint64_t serial = domain->record.serial;
  TRY(hypervisor_.unpause(domid));
  // After the call: a crash in between lets recovery unpause once more, which changes nothing. The
  // other way round it would leave the guest paused for ever.
  return journal_.started(serial);
}

Status Domains::pause(std::uint32_t domid) {
  return hypervisor_.pause(domid);
}

Status Domains::destroy(std::uint32_t domid) {
  const Domain* domain = find(domid);
  if (!domain)
    return failure(ErrorCode::not_found, fmt::format("destroying domain {}", domid),
                   "it is gone already");
  const measure::Uuid uuid = domain->uuid();
  const std::uint64_t serial = domain->record.serial;
  TRY(journal_.revoked(serial));
  TRY(hypervisor_.destroy(domid, uuid));
  TRY(store_.remove_domain(domid, uuid));
  TRY(journal_.abandoned(serial));
  domains_.erase(domid);
  changed_();
  return {};
}

Status Domains::remove_half_built(const measure::Uuid& uuid) {
  for (const xen::DomainStatus& status : TRY(hypervisor_.domains())) {
    // The table may list an earlier owner of the domid whose end has not been told yet.
    const Domain* ours = find(status.domid);
    if (status.uuid != uuid || (ours && ours->uuid() == uuid))
      continue;
    if (!status.dying)
      TRY(hypervisor_.destroy(status.domid, uuid));
    TRY(store_.remove_domain(status.domid, uuid));
  }
  return {};
}

} // namespace ashlar::broker
