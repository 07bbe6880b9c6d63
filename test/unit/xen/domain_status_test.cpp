// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>

extern "C" {
#include <xenctrl.h>
}

#include "ashlar/xen/control.hpp"
#include "ashlar/xen/domain_status.hpp"

using namespace ashlar;
using xen::ShutdownReason, xen::status_of;

namespace {
xen_domctl_getdomaininfo info_with(std::uint32_t flags) {
  xen_domctl_getdomaininfo info = {};
  info.domain = 7;
  info.flags = flags;
  return info;
}
constexpr std::uint32_t shut_down(std::uint32_t code) {
  return XEN_DOMINF_shutdown | (code << XEN_DOMINF_shutdownshift);
}
} // namespace

TEST_CASE("domain status: identity, processor time and memory in KiB") {
  xen_domctl_getdomaininfo info = info_with(0);
  for (std::size_t i = 0; i < sizeof info.handle; i++)
    info.handle[i] = static_cast<std::uint8_t>(0x10 * i);
  info.tot_pages = 65536;
  info.cpu_time = 1234567890123;
  const auto status = status_of(info);
  CHECK(status.domid == 7);
  CHECK(measure::to_string(status.uuid) == "00102030-4050-6070-8090-a0b0c0d0e0f0");
  CHECK(status.memory_kib == 262144);
  CHECK(status.cpu_time_ns == 1234567890123);
}

TEST_CASE("domain status: paused and dying are told apart") {
  CHECK(status_of(info_with(XEN_DOMINF_paused)).paused);
  CHECK_FALSE(status_of(info_with(XEN_DOMINF_paused)).dying);
  CHECK(status_of(info_with(XEN_DOMINF_dying)).dying);
  CHECK_FALSE(status_of(info_with(XEN_DOMINF_dying)).paused);
}

TEST_CASE("domain status: a running domain has no reason for its end") {
  CHECK_FALSE(status_of(info_with(XEN_DOMINF_running)).shutdown);
}

TEST_CASE("domain status: a reason that Xen does not name counts as a crash") {
  CHECK(status_of(info_with(shut_down(0))).shutdown == ShutdownReason::poweroff);
  CHECK(status_of(info_with(shut_down(1))).shutdown == ShutdownReason::reboot);
  CHECK(status_of(info_with(shut_down(5))).shutdown == ShutdownReason::soft_reset);
  CHECK(status_of(info_with(shut_down(6))).shutdown == ShutdownReason::crash);
  CHECK(status_of(info_with(shut_down(255))).shutdown == ShutdownReason::crash);
}

TEST_CASE("control: a failed call's error says what was done, why, and what to do") {
  const auto control = xen::Control::open_without_hypervisor();
  REQUIRE(control);
  errno = ENOMEM;
  const auto status = (*control)->check(-1, "building domain 7", "free some memory");
  REQUIRE_FALSE(status);
  CHECK(status.error().message() == "building domain 7: free some memory (Cannot allocate memory)");
  CHECK((*control)->check(0, "building domain 7"));
}
