// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/guest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <type_traits>
#include <utility>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/record.hpp"

namespace ashlar::cli {

namespace {

constexpr std::uint64_t kib_per_mib = 1024;
constexpr std::uint64_t default_memory_kib = 256 * kib_per_mib;
constexpr std::uint64_t max_memory_kib = std::uint64_t{1} << 40; // 1 PiB

template <typename T>
void replace(T& value, const T& by) {
  if (by)
    value = by;
}

Result<ashlar_v1_GuestType> type_from_text(const std::string& text) {
  if (text == "pv")
    return ashlar_v1_GuestType_GUEST_TYPE_PV;
  if (text == "pvh")
    return ashlar_v1_GuestType_GUEST_TYPE_PVH;
  return failure(ErrorCode::unsupported, "reading the guest's type \"" + printable(text) + "\"",
                 "Ashlar builds pv and pvh guests");
}

Result<ashlar_v1_StopAction> action_from_text(const char* setting,
                                              const std::optional<std::string>& text) {
  if (!text)
    return ashlar_v1_StopAction_STOP_ACTION_UNSPECIFIED;
  constexpr std::array<std::pair<const char*, ashlar_v1_StopAction>, 3> words = {
      {{"destroy", ashlar_v1_StopAction_STOP_ACTION_DESTROY},
       {"restart", ashlar_v1_StopAction_STOP_ACTION_RESTART},
       {"preserve", ashlar_v1_StopAction_STOP_ACTION_PRESERVE}}};
  for (const auto& [word, action] : words)
    if (*text == word)
      return action;
  return failure(ErrorCode::unsupported,
                 fmt::format("reading {} \"{}\"", setting, printable(*text)),
                 "Ashlar knows destroy, restart and preserve");
}

Result<ashlar_v1_VtpmVersion> vtpm_from_text(const std::optional<std::string>& text) {
  if (!text)
    return ashlar_v1_VtpmVersion_VTPM_VERSION_UNSPECIFIED;
  switch (TRY(measure::vtpm_from_text(*text))) {
  case measure::Vtpm::none:
    break;
  case measure::Vtpm::tpm12:
    return ashlar_v1_VtpmVersion_VTPM_VERSION_1_2;
  case measure::Vtpm::tpm20:
    return ashlar_v1_VtpmVersion_VTPM_VERSION_2_0;
  }
  return ashlar_v1_VtpmVersion_VTPM_VERSION_NONE;
}

Status add_devices(ashlar_v1_Create& create, const Guest& guest) {
  static_assert(std::extent_v<decltype(ashlar_v1_Create::disks)> == measure::max_disks);
  static_assert(std::extent_v<decltype(ashlar_v1_Create::nics)> == measure::max_nics);
  TRY(measure::validate(guest.disks, guest.nics));
  for (const measure::Disk& disk : guest.disks) {
    ashlar_v1_Disk& into = create.disks[create.disks_count++];
    const std::string what = "disk " + disk.vdev;
    TRY(ipc::set_exact_text(into.vdev, disk.vdev, "the name of " + what));
    TRY(ipc::set_exact_text(into.backend, disk.backend, "the backend of " + what));
    TRY(ipc::set_exact_text(into.target, disk.target, "the target of " + what));
    into.writable = disk.writable;
  }
  for (const measure::Nic& nic : guest.nics) {
    const std::string what = fmt::format("network interface {}", create.nics_count);
    ashlar_v1_Nic& into = create.nics[create.nics_count++];
    TRY(ipc::set_exact_text(into.backend, nic.backend, "the backend of " + what));
    TRY(ipc::set_exact_text(into.bridge, nic.bridge, "the bridge of " + what));
    TRY(ipc::set_exact_text(into.mac, nic.mac, "the address of " + what));
  }
  return {};
}

} // namespace

Guest overlay(Guest base, const Guest& over) {
  if (over.kernel)
    base.kernel_signature.reset();
  if (!over.initrds.empty()) {
    base.initrds = over.initrds;
    base.initrd_signatures.clear();
  }
  replace(base.name, over.name);
  replace(base.uuid, over.uuid);
  replace(base.type, over.type);
  replace(base.kernel, over.kernel);
  replace(base.command_line, over.command_line);
  replace(base.vcpus, over.vcpus);
  replace(base.memory_kib, over.memory_kib);
  replace(base.max_memory_kib, over.max_memory_kib);
  replace(base.on_poweroff, over.on_poweroff);
  replace(base.on_reboot, over.on_reboot);
  replace(base.on_crash, over.on_crash);
  replace(base.vtpm, over.vtpm);
  replace(base.xsm_label, over.xsm_label);
  replace(base.kernel_signature, over.kernel_signature);
  if (!over.initrd_signatures.empty())
    base.initrd_signatures = over.initrd_signatures;
  if (!over.disks.empty())
    base.disks = over.disks;
  if (!over.nics.empty())
    base.nics = over.nics;
  return base;
}

Result<std::uint64_t> memory_from_text(std::string_view text) {
  const std::string doing = "reading the amount of memory \"" + printable(text) + "\"";
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  if (error == std::errc::invalid_argument || suffix.size() > 1)
    return failure(ErrorCode::invalid, doing, "it must be a number of MiB, or like 512M or 4G");
  std::uint64_t unit_kib = kib_per_mib;
  if (suffix == "K" || suffix == "k")
    unit_kib = 1;
  else if (suffix == "G" || suffix == "g")
    unit_kib = kib_per_mib * kib_per_mib;
  else if (!suffix.empty() && suffix != "M" && suffix != "m")
    return failure(ErrorCode::invalid, doing, "the unit must be K, M or G");
  if (error != std::errc{} || number > max_memory_kib / unit_kib)
    return failure(ErrorCode::limit, doing, "it is above 1 PiB");
  return number * unit_kib;
}

Result<ashlar_v1_Create> create_request(const Guest& guest) {
  ashlar_v1_Create create{};
  if (!guest.name || guest.name->empty())
    return failure(ErrorCode::invalid, "checking the guest", "it has no name; give --name");
  if (!guest.kernel || guest.kernel->empty())
    return failure(ErrorCode::invalid, "checking the guest", "it has no kernel; give --kernel");
  if (guest.initrds.size() > std::size(create.initrds))
    return failure(ErrorCode::limit, "checking the guest",
                   fmt::format("it has {} initrds, the limit is {}", guest.initrds.size(),
                               std::size(create.initrds)));
  TRY(ipc::set_exact_text(create.name, *guest.name, "the guest's name"));
  TRY(ipc::set_exact_text(create.command_line, guest.command_line.value_or(""),
                          "the guest's command line"));
  if (guest.uuid && !ipc::set_bytes(create.uuid, TRY(measure::uuid_from_text(*guest.uuid))))
    return failure(ErrorCode::internal, "checking the guest", "its UUID does not fit the request");
  create.type = TRY(type_from_text(guest.type.value_or("pvh")));
  create.vcpus = guest.vcpus.value_or(1);
  create.memory_kib = guest.memory_kib.value_or(default_memory_kib);
  create.max_memory_kib = guest.max_memory_kib.value_or(0);
  create.on_poweroff = TRY(action_from_text("on_poweroff", guest.on_poweroff));
  create.on_reboot = TRY(action_from_text("on_reboot", guest.on_reboot));
  create.on_crash = TRY(action_from_text("on_crash", guest.on_crash));
  create.vtpm = TRY(vtpm_from_text(guest.vtpm));
  TRY(ipc::set_exact_text(create.xsm_label, guest.xsm_label.value_or(""), "the XSM label"));
  TRY(add_devices(create, guest));
  return create;
}

Result<ashlar_v1_DomainRef> domain_from_text(const std::string& text) {
  ashlar_v1_DomainRef domain{};
  const std::string doing = "reading the domain \"" + printable(text) + "\"";
  if (text.empty())
    return failure(ErrorCode::invalid, doing, "give a name, a domid or a UUID");
  if (std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; })) {
    domain.which_by = ashlar_v1_DomainRef_domid_tag;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), domain.by.domid);
    if (read.ec != std::errc{})
      return failure(ErrorCode::limit, doing, "a domid is at most 32751");
    return domain;
  }
  if (const auto uuid = measure::uuid_from_text(text)) {
    domain.which_by = ashlar_v1_DomainRef_uuid_tag;
    if (!ipc::set_bytes(domain.by.uuid, *uuid))
      return failure(ErrorCode::internal, doing, "the UUID does not fit the request");
    return domain;
  }
  domain.which_by = ashlar_v1_DomainRef_name_tag;
  TRY(ipc::set_exact_text(domain.by.name, text, "the domain's name"));
  return domain;
}

} // namespace ashlar::cli
