// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/request/configuration.hpp"

#include <span>

namespace ashlar::request {

namespace {

constexpr const char* doing = "reading the request";

measure::StopAction stop_action(ashlar_v1_StopAction action, measure::StopAction usual) {
  switch (action) {
  case ashlar_v1_StopAction_STOP_ACTION_DESTROY:
    return measure::StopAction::destroy;
  case ashlar_v1_StopAction_STOP_ACTION_RESTART:
    return measure::StopAction::restart;
  case ashlar_v1_StopAction_STOP_ACTION_PRESERVE:
    return measure::StopAction::preserve;
  default:
    return usual;
  }
}

Result<measure::GuestType> guest_type(ashlar_v1_GuestType type) {
  switch (type) {
  case ashlar_v1_GuestType_GUEST_TYPE_PV:
    return measure::GuestType::pv;
  case ashlar_v1_GuestType_GUEST_TYPE_PVH:
    return measure::GuestType::pvh;
  default:
    return failure(ErrorCode::invalid, doing, "it names no guest type: pv or pvh");
  }
}

// A version that is not known must not become none: the guest would lack what was asked for.
Result<measure::Vtpm> vtpm(ashlar_v1_VtpmVersion version) {
  switch (version) {
  case ashlar_v1_VtpmVersion_VTPM_VERSION_UNSPECIFIED:
  case ashlar_v1_VtpmVersion_VTPM_VERSION_NONE:
    return measure::Vtpm::none;
  case ashlar_v1_VtpmVersion_VTPM_VERSION_1_2:
    return measure::Vtpm::tpm12;
  case ashlar_v1_VtpmVersion_VTPM_VERSION_2_0:
    return measure::Vtpm::tpm20;
  default:
    return failure(ErrorCode::invalid, doing, "it names no version of a vTPM: 1.2 or 2.0");
  }
}

std::vector<measure::Disk> disks(const ashlar_v1_Create& create) {
  std::vector<measure::Disk> disks;
  for (const ashlar_v1_Disk& disk : std::span(create.disks).first(create.disks_count))
    disks.push_back({.vdev = disk.vdev,
                     .writable = disk.writable,
                     .backend = disk.backend,
                     .target = disk.target});
  return disks;
}

std::vector<measure::Nic> nics(const ashlar_v1_Create& create) {
  std::vector<measure::Nic> nics;
  for (const ashlar_v1_Nic& nic : std::span(create.nics).first(create.nics_count))
    nics.push_back({.backend = nic.backend, .bridge = nic.bridge, .mac = nic.mac});
  return nics;
}

} // namespace

Result<measure::DomainConfiguration> configuration_of(const ashlar_v1_Create& create) {
  measure::DomainConfiguration configuration;
  configuration.name = create.name;
  configuration.type = TRY(guest_type(create.type));
  configuration.vcpus = create.vcpus;
  configuration.memory_kib = create.memory_kib;
  configuration.max_memory_kib =
      create.max_memory_kib == 0 ? create.memory_kib : create.max_memory_kib;
  configuration.on_poweroff = stop_action(create.on_poweroff, measure::StopAction::destroy);
  configuration.on_reboot = stop_action(create.on_reboot, measure::StopAction::restart);
  configuration.on_crash = stop_action(create.on_crash, measure::StopAction::destroy);
  configuration.vtpm = TRY(vtpm(create.vtpm));
  configuration.xsm_label = create.xsm_label;
  configuration.disks = disks(create);
  configuration.nics = nics(create);
  return configuration;
}

} // namespace ashlar::request
