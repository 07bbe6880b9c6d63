// SPDX-License-Identifier: LGPL-2.1-or-later
// Linux: Documentation/userspace-api/landlock.rst. glibc has no wrappers for these calls.
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "ashlar/base/unique_fd.hpp"
#include "layers.hpp"

namespace ashlar::inspector {

namespace {

// As the kernel's header has it today; the one installed may be older and know only the first
// field. A kernel takes the fields it knows, as the size passed tells it.
struct RulesetAttributes {
  std::uint64_t handled_access_fs = 0;
  std::uint64_t handled_access_net = 0; // since version 4
  std::uint64_t scoped = 0;             // since version 6
};

/// Everything that a version of Landlock can forbid: bits are added from one version to the next.
struct AbiVersion {
  long version;
  RulesetAttributes attributes;
  std::size_t size;
};

constexpr std::uint64_t low_bits(unsigned count) {
  return (std::uint64_t{1} << count) - 1;
}
constexpr std::size_t fs_only = offsetof(RulesetAttributes, handled_access_net);
constexpr std::size_t fs_and_net = offsetof(RulesetAttributes, scoped);

constexpr AbiVersion versions[] = {
    {6, {low_bits(16), low_bits(2), low_bits(2)}, sizeof(RulesetAttributes)},
    {5, {low_bits(16), low_bits(2), 0}, fs_and_net}, // ioctl on devices
    {4, {low_bits(15), low_bits(2), 0}, fs_and_net}, // TCP bind and connect
    {3, {low_bits(15), 0, 0}, fs_only},              // truncate
    {2, {low_bits(14), 0, 0}, fs_only},              // link and rename across directories
    {1, {low_bits(13), 0, 0}, fs_only},
};

} // namespace

Result<Layer> forbid_file_system() {
  const long version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
    return Layer::not_available;
  if (version < 1)
    return errno_failure("asking for the version of Landlock");
  for (const AbiVersion& abi : versions) {
    if (abi.version > version)
      continue;
    const UniqueFd ruleset(
        static_cast<int>(syscall(SYS_landlock_create_ruleset, &abi.attributes, abi.size, 0)));
    if (!ruleset)
      return errno_failure("creating the Landlock ruleset");
    if (syscall(SYS_landlock_restrict_self, ruleset.value(), 0) != 0)
      return errno_failure("entering the Landlock ruleset");
    break;
  }
  return Layer::in_place;
}

} // namespace ashlar::inspector
