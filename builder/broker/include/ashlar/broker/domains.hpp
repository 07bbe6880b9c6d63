// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/broker/devices.hpp"
#include "ashlar/broker/domain.hpp"
#include "ashlar/broker/journal.hpp"
#include "ashlar/broker/tpm_manager.hpp"
#include "ashlar/xen/hypervisor.hpp"
#include "ashlar/xen/store.hpp"

namespace ashlar::broker {

/// The domains that this builder has built and that still exist, and the only place that ends them.
class Domains {
public:
  Domains(xen::Hypervisor& hypervisor, xen::Store& store, Journal& journal, TpmManager& manager,
          Devices& devices)
      : hypervisor_(hypervisor), store_(store), journal_(journal), manager_(manager),
        devices_(devices) {}

  /// Calls `changed` after each domain that comes or goes.
  void on_change(std::function<void()> changed) { changed_ = std::move(changed); }

  /// Takes in a complete, paused, measured domain: its record is in the journal when this returns.
  [[nodiscard]] Status add(Domain domain);
  /// Takes over what the journal remembers from before a restart, without writing it again.
  void adopt(Domain domain);

  [[nodiscard]] const Domain* find(std::uint32_t domid) const;
  [[nodiscard]] const Domain* find_name(std::string_view name) const;
  [[nodiscard]] const Domain* find_uuid(const measure::Uuid& uuid) const;
  [[nodiscard]] const Domain* find_serial(std::uint64_t serial) const;
  /// The vTPM of the guest whose record has this serial.
  [[nodiscard]] const Domain* find_vtpm_of(std::uint64_t guest_serial) const;
  [[nodiscard]] const Domain* find_tpm_manager() const;
  [[nodiscard]] const Domain* find_vtpm_state_store() const;
  /// The domids of the domains that give a guest with this configuration its disks, then its
  /// network interfaces. Only the builder's own domain and those of the boot manifest are backends:
  /// of others, a requester chooses the names. Errors: not_found, naming device and domain.
  [[nodiscard]] Result<std::vector<std::uint32_t>>
  backends_of(const measure::DomainConfiguration& configuration) const;
  [[nodiscard]] const std::map<std::uint32_t, Domain>& all() const { return domains_; }

  /// Its record is where it belongs: from now on it may be unpaused.
  [[nodiscard]] Status admit(std::uint32_t domid);

  /// Lets it run; the first time is noted in the journal. Errors: denied (not admitted yet),
  /// not_found.
  [[nodiscard]] Status unpause(std::uint32_t domid);
  /// One that is paused already stays so, and unpause() lets it run all the same.
  [[nodiscard]] Status pause(std::uint32_t domid);

  /// Ends an incarnation, and its vTPM's: revokes its record first, so that no later owner of the
  /// domid can be taken for it, then destroys the domain and removes its nodes. After an error the
  /// domain stays listed and destroy may be tried again.
  [[nodiscard]] Status destroy(std::uint32_t domid);

  /// Tells the TPM Manager, and once it knows and the domain is gone, the journal forgets the
  /// serial. The journal has it as revoked, or as a build that was not finished.
  void revoke(std::uint64_t serial);

  /// Destroys whatever has this UUID and is no domain of ours, with its nodes: the rest of a build
  /// that did not get to its end. Nothing there is success.
  [[nodiscard]] Status remove_half_built(const measure::Uuid& uuid);

  /// Takes the devices of a domain that ends from it: also of one that an earlier process has
  /// ended.
  void detach(const Domain& domain);

  /// Notes in the journal that nothing is left of a build or domain, unless it is listed, its
  /// devices are not detached yet, or the TPM Manager does not know yet that its record is revoked.
  [[nodiscard]] Status forget(std::uint64_t serial);

private:
  template <typename Predicate>
  [[nodiscard]] const Domain* find_if(Predicate predicate) const;
  /// Is it, as Xen says? Errors: not_found, also where its number is another domain's now.
  [[nodiscard]] Result<bool> paused(std::uint32_t domid, const std::string& doing);
  [[nodiscard]] Status remove_vtpm_devices(const Domain& domain);
  [[nodiscard]] Result<std::uint32_t> find_backend(const std::string& name,
                                                   const std::string& device) const;

  xen::Hypervisor& hypervisor_;
  xen::Store& store_;
  Journal& journal_;
  TpmManager& manager_;
  Devices& devices_;
  std::map<std::uint32_t, Domain> domains_;
  std::set<std::uint64_t> unrevoked_; // serials of which the TPM Manager does not know yet
  std::function<void()> changed_ = [] {};
};

} // namespace ashlar::broker
