// SPDX-License-Identifier: LGPL-2.1-or-later
#include "new_domain.hpp"

#include <algorithm>
#include <cerrno>
#include <span>

#include <fmt/format.h>

#include "xen_guest_headers.hpp"
#include "xsm_label.hpp"

namespace ashlar::constructor {

namespace {

// libxl's defaults, which Linux' own drivers are known to get along with.
constexpr std::uint32_t max_event_channel_port = 1023;
constexpr std::int32_t max_grant_frames = 64;
constexpr std::int32_t max_maptrack_frames = 1024;
// Xen counts a few pages beyond the guest's RAM against its limit (special pages, ACPI tables).
constexpr std::uint64_t memory_slack_kib = 1024;
// Pages for the second-stage page tables: 1 MiB a vCPU and one page for each MiB of memory.
constexpr std::uint64_t paging_pages_a_vcpu = 256;
constexpr std::uint64_t timer_mode_no_delay = 1; // HVMPTM_no_delay_for_missed_ticks
// XEN_DOMCTL_gettscinfo's modes (xen/include/public/arch-x86/cpuid.h and domctl.h): by default Xen
// emulates RDTSC where the machine's counters are not known to agree; natively it never does.
constexpr std::uint32_t tsc_mode_default = 0;
constexpr std::uint32_t tsc_mode_native = 2;

bool translated(const Plan& plan) {
  return plan.configuration.type == measure::GuestType::pvh;
}

Status check_machine(const xc_physinfo_t& machine, const Plan& plan) {
  const std::uint32_t needed =
      translated(plan) ? XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap : XEN_SYSCTL_PHYSCAP_pv;
  if ((machine.capabilities & needed) == needed)
    return {};
  return failure(ErrorCode::unsupported,
                 fmt::format("creating a {} domain", measure::to_string(plan.configuration.type)),
                 translated(plan)
                     ? "this machine has no hardware virtualization with nested paging, "
                       "or it is off in the firmware: use type pv"
                     : "this Xen is built without PV guests: use type pvh");
}

/// The newest version of the grant table that this Xen lets guests have.
std::uint32_t grant_version(const xc_physinfo_t& machine) {
  if ((machine.capabilities & XEN_SYSCTL_PHYSCAP_gnttab_v2) != 0)
    return 2;
  return (machine.capabilities & XEN_SYSCTL_PHYSCAP_gnttab_v1) != 0 ? 1 : 0;
}

Status set_up_translation(xen::Control& control, const Plan& plan, std::uint32_t domid) {
  const auto& configuration = plan.configuration;
  TRY(control.check(
      xc_hvm_param_set(control.handle(), domid, HVM_PARAM_TIMER_MODE, timer_mode_no_delay),
      fmt::format("setting the timer mode of domain {}", domid)));
  const std::uint64_t pages =
      paging_pages_a_vcpu * configuration.vcpus + configuration.max_memory_kib / 1024;
  return control.check(
      xc_set_paging_mempool_size(control.handle(), domid, pages * XC_PAGE_SIZE),
      fmt::format("reserving {} KiB for the page tables of domain {}", pages * 4, domid),
      "the machine needs that much free memory besides the guest's own");
}

/// Lets the domain map a device's pages. A PV guest maps machine frames itself; a translated one
/// finds them at the same addresses.
Status grant_io_pages(xen::Control& control, const Plan& plan, std::uint32_t domid) {
  constexpr std::uint8_t allow = 1; // DPCI_ADD_MAPPING as well
  for (const IoPages& pages : plan.io_pages) {
    const std::string doing = fmt::format("giving domain {} {} pages of I/O memory from page {:#x}",
                                          domid, pages.count, pages.first_page);
    TRY(control.check(
        xc_domain_iomem_permission(control.handle(), domid, pages.first_page, pages.count, allow),
        doing));
    if (translated(plan))
      TRY(control.check(xc_domain_memory_mapping(control.handle(), domid, pages.first_page,
                                                 pages.first_page, pages.count, allow),
                        doing));
  }
  return {};
}

} // namespace

Result<std::uint32_t> create_domain(xen::Control& control, const Plan& plan) {
  xc_physinfo_t machine = {};
  TRY(control.check(xc_physinfo(control.handle(), &machine),
                    "asking the hypervisor what the machine can do"));
  TRY(check_machine(machine, plan));

  xen_domctl_createdomain settings = {};
  std::ranges::copy(plan.uuid, std::as_writable_bytes(std::span(settings.handle)).begin());
  settings.max_vcpus = plan.configuration.vcpus;
  settings.max_evtchn_port = max_event_channel_port;
  settings.max_grant_frames = max_grant_frames;
  settings.max_maptrack_frames = max_maptrack_frames;
  settings.grant_opts = grant_version(machine);
  if (translated(plan)) {
    settings.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap | XEN_DOMCTL_CDF_oos_off;
    settings.arch.emulation_flags = XEN_X86_EMU_LAPIC;
  }
  if (!plan.configuration.xsm_label.empty())
    settings.ssidref = TRY(label_number(control, plan.configuration.xsm_label));
  std::uint32_t domid = 0; // 0 asks Xen to choose
  TRY(control.check(xc_domain_create(control.handle(), &domid, &settings), "creating a domain"));
  return domid;
}

Status set_up_domain(xen::Control& control, const Plan& plan, std::uint32_t domid) {
  const auto& configuration = plan.configuration;
  xc_interface* xen = control.handle();
  TRY(control.check(xc_domain_max_vcpus(xen, domid, configuration.vcpus),
                    fmt::format("giving domain {} its {} vCPUs", domid, configuration.vcpus)));
  TRY(control.check(
      xc_domain_setmaxmem(xen, domid, configuration.max_memory_kib + memory_slack_kib),
      fmt::format("limiting domain {} to {} KiB", domid, configuration.max_memory_kib)));
  if (translated(plan))
    TRY(set_up_translation(control, plan, domid));
  else
    TRY(control.check(xc_domain_set_memmap_limit(xen, domid, configuration.max_memory_kib),
                      fmt::format("setting the memory map of domain {}", domid)));
  TRY(grant_io_pages(control, plan, domid));
  const std::uint32_t tsc_mode = plan.native_tsc ? tsc_mode_native : tsc_mode_default;
  TRY(control.check(xc_domain_set_tsc_info(xen, domid, tsc_mode, 0, 0, 0),
                    fmt::format("setting the clock mode of domain {}", domid)));
  constexpr bool restored = false, pae = true, invariant_tsc = false, nested = false;
  return control.check(xc_cpuid_apply_policy(xen, domid, restored, nullptr, 0, pae, invariant_tsc,
                                             nested, nullptr, nullptr),
                       fmt::format("setting the CPU features of domain {}", domid));
}

Result<std::uint32_t> allocate_channel(xen::Control& control, std::uint32_t domid,
                                       std::uint32_t remote, const char* service) {
  const int port = xc_evtchn_alloc_unbound(control.handle(), domid, remote);
  TRY(control.check(port, fmt::format("allocating domain {}'s event channel for {} in domain {}",
                                      domid, service, remote)));
  return static_cast<std::uint32_t>(port);
}

} // namespace ashlar::constructor
