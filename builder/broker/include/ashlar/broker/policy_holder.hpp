// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/broker/release_memory.hpp"
#include "ashlar/policy/policy.hpp"

namespace ashlar::broker {

/// The policy in force. A reload either replaces it whole or leaves it and remembers why.
class PolicyHolder {
public:
  /// `releases`: where the sequence numbers of releases are kept (ReleaseMemory).
  PolicyHolder(std::string directory, std::string releases)
      : directory_(std::move(directory)), releases_path_(std::move(releases)) {}

  /// Reads the directory anew. Errors: those of the files, and a release whose manifest is older
  /// than one that was in force before; the old policy (if any) stays in force.
  [[nodiscard]] Status reload();

  /// Never null after the first successful reload. A caller that must see one policy through a
  /// whole request keeps its own copy of the pointer.
  [[nodiscard]] std::shared_ptr<const policy::Policy> current() const { return current_; }
  /// Why the files on disk are not in force; empty when they are.
  [[nodiscard]] const std::string& load_error() const { return load_error_; }

private:
  /// Errors: a release would go back, or what was seen cannot be read or kept.
  [[nodiscard]] Status check_releases(const policy::Policy& policy);

  std::string directory_;
  std::string releases_path_;
  std::optional<ReleaseMemory> releases_; // from the first reload on
  std::shared_ptr<const policy::Policy> current_;
  std::string load_error_;
};

} // namespace ashlar::broker
