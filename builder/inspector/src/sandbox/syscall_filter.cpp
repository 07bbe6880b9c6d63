// SPDX-License-Identifier: LGPL-2.1-or-later
#include <seccomp.h>

#include <array>
#include <memory>

#include <fmt/format.h>

#include "layers.hpp"
#include "syscall_allowlist.hpp"

namespace ashlar::inspector {

namespace {

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

std::unexpected<Error> filter_failure(const char* doing, int negative_errno) {
  return failure(ErrorCode::io, doing, "libseccomp refuses", -negative_errno);
}

Status allow(const Filter& filter, const AllowedCall& call) {
  const int number = seccomp_syscall_resolve_name(call.name);
  if (number == __NR_SCMP_ERROR)
    return failure(ErrorCode::internal, "building the system call filter",
                   fmt::format("libseccomp does not know the system call {}", call.name));
  std::array<scmp_arg_cmp, 3> checks = {};
  for (unsigned i = 0; i < call.check_count; ++i)
    checks[i] = {call.checks[i].index, SCMP_CMP_MASKED_EQ, call.checks[i].mask,
                 call.checks[i].value};
  // Exact: libseccomp must not widen a rule to what it can express.
  const int status = seccomp_rule_add_exact_array(filter.get(), SCMP_ACT_ALLOW, number,
                                                  call.check_count, checks.data());
  if (status != 0)
    return filter_failure("building the system call filter", status);
  return {};
}

} // namespace

Status filter_system_calls() {
  const Filter filter(seccomp_init(SCMP_ACT_KILL_PROCESS), seccomp_release);
  if (filter == nullptr)
    return failure(ErrorCode::io, "building the system call filter", "libseccomp has no memory");
  // The 32-bit and x32 calls have other numbers: using them is never right here.
  if (const int status =
          seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
      status != 0)
    return filter_failure("building the system call filter", status);
  for (const AllowedCall& call : syscall_allowlist)
    TRY(allow(filter, call));
  if (const int status = seccomp_load(filter.get()); status != 0)
    return filter_failure("loading the system call filter", status);
  return {};
}

} // namespace ashlar::inspector
