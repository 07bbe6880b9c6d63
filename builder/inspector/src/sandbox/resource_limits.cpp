// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include <fmt/format.h>

#include "ashlar/base/unique_fd.hpp"
#include "layers.hpp"

namespace ashlar::inspector {

namespace {

Status limit(__rlimit_resource resource, const char* name, rlim_t value) {
  // Soft and hard at once: what cannot be raised again needs no watching.
  const rlimit both = {value, value};
  if (setrlimit(resource, &both) != 0)
    return errno_failure(fmt::format("setting {} to {}", name, value));
  return {};
}

} // namespace

void be_first_to_go() {
  constexpr std::string_view most = "1000";
  const UniqueFd file(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (file) [[maybe_unused]]
    const ssize_t advice = write(file.value(), most.data(), most.size());
}

Status limit_resources(const SandboxLimits& limits) {
  TRY(limit(RLIMIT_AS, "RLIMIT_AS", limits.address_space_bytes));
  TRY(limit(RLIMIT_CPU, "RLIMIT_CPU", limits.cpu_seconds));
  TRY(limit(RLIMIT_FSIZE, "RLIMIT_FSIZE", limits.file_bytes));
  TRY(limit(RLIMIT_CORE, "RLIMIT_CORE", 0));
  TRY(limit(RLIMIT_NPROC, "RLIMIT_NPROC", 0));
  TRY(limit(RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", 0));
  return limit(RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", 0);
}

Status forbid_new_descriptors() {
  return limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", 0);
}

} // namespace ashlar::inspector
