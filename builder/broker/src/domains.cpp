// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/domains.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/broker/vtpm_device.hpp"

namespace ashlar::broker {

Status Domains::add(Domain domain) {
  // Xen has given the domid anew before we heard that its earlier owner is gone.
  if (const Domain* gone = find(domain.domid())) {
    const std::uint64_t serial = gone->record.serial;
    TRY(journal_.revoked(serial));
    detach(*gone);
    domains_.erase(domain.domid());
    revoke(serial);
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

template <typename Predicate>
const Domain* Domains::find_if(Predicate predicate) const {
  const auto found = std::ranges::find_if(
      domains_, [&predicate](const auto& entry) { return predicate(entry.second); });
  return found == domains_.end() ? nullptr : &found->second;
}

const Domain* Domains::find_name(std::string_view name) const {
  return find_if([name](const Domain& domain) { return domain.name() == name; });
}

const Domain* Domains::find_uuid(const measure::Uuid& uuid) const {
  return find_if([&uuid](const Domain& domain) { return domain.uuid() == uuid; });
}

const Domain* Domains::find_serial(std::uint64_t serial) const {
  return find_if([serial](const Domain& domain) { return domain.record.serial == serial; });
}

const Domain* Domains::find_vtpm_of(std::uint64_t guest_serial) const {
  return find_if([guest_serial](const Domain& domain) {
    return domain.vtpm_of != 0 && domain.vtpm_of == guest_serial;
  });
}

const Domain* Domains::find_tpm_manager() const {
  return find_if([](const Domain& domain) { return domain.tpm_manager; });
}

const Domain* Domains::find_vtpm_state_store() const {
  return find_if([](const Domain& domain) { return domain.vtpm_state_store; });
}

Result<std::uint32_t> Domains::find_backend(const std::string& name,
                                            const std::string& device) const {
  if (name == measure::domain_0_name)
    return builder_domid;
  const Domain* domain = find_name(name);
  if (domain && domain->vtpm_of == 0 && domain->admitted &&
      std::holds_alternative<policy::BootManifestPeer>(domain->peer))
    return domain->domid();
  return failure(
      ErrorCode::not_found, fmt::format("finding the backend of {}", device),
      fmt::format("\"{}\" is no domain of the boot manifest that runs, and not {}: name one "
                  "that is",
                  printable(name), measure::domain_0_name));
}

Result<std::vector<std::uint32_t>>
Domains::backends_of(const measure::DomainConfiguration& configuration) const {
  std::vector<std::uint32_t> backends;
  for (const measure::Disk& disk : configuration.disks)
    backends.push_back(TRY(find_backend(disk.backend, "disk " + disk.vdev)));
  for (std::size_t i = 0; i < configuration.nics.size(); ++i)
    backends.push_back(
        TRY(find_backend(configuration.nics[i].backend, fmt::format("network interface {}", i))));
  return backends;
}

Status Domains::admit(std::uint32_t domid) {
  const auto found = domains_.find(domid);
  if (found == domains_.end())
    return failure(ErrorCode::not_found, fmt::format("admitting domain {}", domid), "it is gone");
  TRY(journal_.admitted(found->second.record.serial));
  found->second.admitted = true;
  return {};
}

Result<bool> Domains::paused(std::uint32_t domid, const std::string& doing) {
  const Domain* domain = find(domid);
  const auto status = TRY(hypervisor_.domain(domid));
  if (!domain || !status || status->uuid != domain->uuid())
    return failure(ErrorCode::not_found, doing, "it is gone");
  return status->paused;
}

Status Domains::unpause(std::uint32_t domid) {
  const std::string doing = fmt::format("unpausing domain {}", domid);
  if (const Domain* domain = find(domid); domain && !domain->admitted)
    return failure(ErrorCode::denied, doing,
                   "its measurement is not where it belongs yet: wait until it is built");
  // Xen counts, and gives an error where there is nothing to take back.
  if (TRY(paused(domid, doing)))
    TRY(hypervisor_.unpause(domid));
  // After the call: a crash in between lets recovery come here once more, which changes nothing.
  // The other way round it would leave the guest paused for ever.
  return journal_.started(find(domid)->record.serial);
}

Status Domains::pause(std::uint32_t domid) {
  // Of a domain that is being built, too: paused twice it would stay so when it is ready.
  if (TRY(paused(domid, fmt::format("pausing domain {}", domid))))
    return {};
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
  revoke(serial);
  detach(*domain);
  TRY(hypervisor_.destroy(domid, uuid));
  TRY(remove_vtpm_devices(*domain));
  TRY(store_.remove_domain(domid, uuid));
  domains_.erase(domid);
  changed_();
  TRY(forget(serial));
  // After the guest: it never runs without its TPM.
  if (const Domain* vtpm = find_vtpm_of(serial))
    return destroy(vtpm->domid());
  return {};
}

void Domains::revoke(std::uint64_t serial) {
  unrevoked_.insert(serial);
  manager_.revoke(serial, [this, serial](const Result<tpm::Ack>& revoked) {
    if (!revoked)
      return log::warning("the TPM Manager does not know yet that record {} is revoked: {}", serial,
                          revoked.error().message());
    unrevoked_.erase(serial);
    if (const Status forgotten = forget(serial); !forgotten)
      log::warning("{}", forgotten.error().message());
  });
}

void Domains::detach(const Domain& domain) {
  devices_.detach(domain, [this, serial = domain.record.serial] {
    if (const Status forgotten = forget(serial); !forgotten)
      log::warning("{}", forgotten.error().message());
  });
}

Status Domains::forget(std::uint64_t serial) {
  if (unrevoked_.contains(serial) || find_serial(serial) || devices_.detaching(serial))
    return {};
  return journal_.abandoned(serial);
}

Status Domains::remove_vtpm_devices(const Domain& domain) {
  if (domain.vtpm_of == 0)
    return {};
  if (const Domain* manager = find_tpm_manager())
    TRY(store_.remove(backend_home(device_vtpm, manager->domid(), domain.domid())));
  if (const Domain* state_store = find_vtpm_state_store())
    TRY(store_.remove(backend_home(device_vtpm_state, state_store->domid(), domain.domid())));
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
