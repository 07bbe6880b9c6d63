// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/policy/policy.hpp"

namespace ashlar::broker {

/// The highest sequence number seen of each release, in a file: an older manifest stays refused
/// after a restart of the builder, and after its release was out of the policy for a while. The
/// file is in the run directory and ends with the machine's uptime; what must hold beyond that is
/// the policy's min_sequence.
class ReleaseMemory {
public:
  /// Reads the file, one "NAME SEQUENCE" in a line; none there is nothing seen. Errors: invalid
  /// (the builder alone writes it: what it did not write is not guessed at), denied, io, limit.
  [[nodiscard]] static Result<ReleaseMemory> open(std::string path);

  /// Errors: invalid, for a release that would go back.
  [[nodiscard]] Status check(const policy::Policy& policy) const;

  /// Keeps what is higher than before; it is in the file when this returns. Errors: io, limit.
  [[nodiscard]] Status remember(const policy::Policy& policy);

private:
  explicit ReleaseMemory(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] Status write(const std::map<std::string, std::uint64_t>& seen) const;

  std::string path_;
  std::map<std::string, std::uint64_t> seen_;
};

} // namespace ashlar::broker
