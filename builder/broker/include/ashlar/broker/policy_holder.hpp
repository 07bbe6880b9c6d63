// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/policy/policy.hpp"

namespace ashlar::broker {

/// The policy in force. A reload either replaces it whole or leaves it and remembers why.
class PolicyHolder {
public:
  explicit PolicyHolder(std::string directory) : directory_(std::move(directory)) {}

  /// Reads the directory anew. Errors: those of the files, and a release whose manifest is older
  /// than the one in force; the old policy (if any) stays in force.
  [[nodiscard]] Status reload();

  /// Never null after the first successful reload. A caller that must see one policy through a
  /// whole request keeps its own copy of the pointer.
  [[nodiscard]] std::shared_ptr<const policy::Policy> current() const { return current_; }
  /// Why the files on disk are not in force; empty when they are.
  [[nodiscard]] const std::string& load_error() const { return load_error_; }

private:
  std::string directory_;
  std::shared_ptr<const policy::Policy> current_;
  std::string load_error_;
};

} // namespace ashlar::broker
