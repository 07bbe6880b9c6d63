// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/policy_holder.hpp"

#include <fmt/format.h>

#include "ashlar/base/log.hpp"

namespace ashlar::broker {

/// A manifest that is older than one that was in force is most likely an old one that somebody
/// serves again. Going back on purpose is possible, but not unnoticed.
Status PolicyHolder::check_releases(const policy::Policy& policy) {
  if (!releases_)
    releases_ = TRY(ReleaseMemory::open(releases_path_));
  TRY(releases_->check(policy));
  return releases_->remember(policy);
}

Status PolicyHolder::reload() {
  const Result<std::vector<policy::PolicyFile>> files = policy::read_directory(directory_);
  if (!files) {
    load_error_ = files.error().message();
    return std::unexpected(files.error());
  }
  policy::Policy::Load load = policy::Policy::load(*files);
  std::string first_error;
  for (const policy::Finding& finding : load.findings) {
    const bool error = finding.severity == policy::Finding::Severity::error;
    log::write(error ? log::Level::error : log::Level::warning,
               fmt::format("policy: {}: {}", finding.where.text(), finding.message));
    if (error && first_error.empty())
      first_error = fmt::format("{}: {}", finding.where.text(), finding.message);
  }
  if (!load.policy) {
    load_error_ = first_error;
    return failure(ErrorCode::invalid, "loading the policy from " + directory_, first_error);
  }
  if (const Status forward = check_releases(*load.policy); !forward) {
    load_error_ = forward.error().message();
    return forward;
  }
  current_ = std::make_shared<const policy::Policy>(std::move(*load.policy));
  load_error_.clear();
  log::notice("policy {} from {} is in force ({} files)", current_->digest(), directory_,
              current_->files().size());
  return {};
}

} // namespace ashlar::broker
