// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/xen/hypervisor.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "ashlar/xen/control.hpp"
#include "ashlar/xen/domain_status.hpp"
#include "xen_headers.hpp"

namespace ashlar::xen {

namespace {
constexpr std::size_t domains_a_call = 64;
constexpr std::uint64_t kib_a_page = XC_PAGE_SIZE / 1024;

class RealHypervisor final : public Hypervisor {
public:
  explicit RealHypervisor(std::unique_ptr<Control> control) : control_(std::move(control)) {}

  Result<std::vector<DomainStatus>> domains() override {
    std::vector<DomainStatus> found;
    std::array<xc_domaininfo_t, domains_a_call> batch = {};
    for (std::uint32_t next = 1;;) {
      const int count =
          xc_domain_getinfolist(control_->handle(), next, domains_a_call, batch.data());
      TRY(control_->check(count, "listing the domains"));
      for (const auto& info : std::span(batch).first(static_cast<std::size_t>(count)))
        found.push_back(status_of(info));
      if (static_cast<std::size_t>(count) < domains_a_call)
        return found;
      next = found.back().domid + 1;
    }
  }

  Result<std::optional<DomainStatus>> domain(std::uint32_t domid) override {
    xc_domaininfo_t info = {};
    const int count = xc_domain_getinfolist(control_->handle(), domid, 1, &info);
    TRY(control_->check(count, fmt::format("asking for the state of domain {}", domid)));
    // The list starts at the first domain that exists, which may be a later one.
    if (count == 0 || info.domain != domid)
      return std::nullopt;
    return status_of(info);
  }

  Status pause(std::uint32_t domid) override {
    return control_->check(xc_domain_pause(control_->handle(), domid),
                           fmt::format("pausing domain {}", domid));
  }

  Status unpause(std::uint32_t domid) override {
    return control_->check(xc_domain_unpause(control_->handle(), domid),
                           fmt::format("unpausing domain {}", domid));
  }

  Status destroy(std::uint32_t domid, const measure::Uuid& uuid) override {
    return control_->destroy(domid, uuid);
  }

  Result<std::uint64_t> free_memory_kib() override {
    xc_physinfo_t info = {};
    TRY(control_->check(xc_physinfo(control_->handle(), &info), "asking for the free memory"));
    // Pages that a domain claimed are counted as free until it takes them.
    const std::uint64_t claimed = std::min<std::uint64_t>(info.outstanding_pages, info.free_pages);
    return (info.free_pages - claimed) * kib_a_page;
  }

private:
  std::unique_ptr<Control> control_;
};
} // namespace

DomainStatus status_of(const xen_domctl_getdomaininfo& info) {
  DomainStatus status;
  status.domid = info.domain;
  std::ranges::copy(std::as_bytes(std::span(info.handle)), status.uuid.begin());
  status.paused = (info.flags & XEN_DOMINF_paused) != 0;
  status.dying = (info.flags & XEN_DOMINF_dying) != 0;
  if ((info.flags & XEN_DOMINF_shutdown) != 0) {
    const std::uint32_t reason = (info.flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;
    // The guest chooses the number: one that means nothing is a crash.
    status.shutdown = reason <= static_cast<std::uint32_t>(ShutdownReason::soft_reset)
                          ? static_cast<ShutdownReason>(reason)
                          : ShutdownReason::crash;
  }
  status.cpu_time_ns = info.cpu_time;
  status.memory_kib = info.tot_pages * kib_a_page;
  return status;
}

Result<std::unique_ptr<Hypervisor>> open_hypervisor() {
  return std::make_unique<RealHypervisor>(TRY(Control::open()));
}

} // namespace ashlar::xen
