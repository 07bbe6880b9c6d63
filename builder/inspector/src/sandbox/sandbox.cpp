// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/inspector/sandbox.hpp"

#include "layers.hpp"

namespace ashlar::inspector {

Result<Isolation> enter_sandbox(const SandboxLimits& limits) {
  Isolation isolation;
  TRY(close_other_descriptors());
  be_first_to_go();
  const Layer namespaces = TRY(leave_namespaces());
  TRY(drop_privileges());
  TRY(limit_resources(limits));
  const Layer landlock = TRY(forbid_file_system());
  if (namespaces == Layer::not_available && landlock == Layer::not_available)
    return failure(ErrorCode::denied, "locking the inspector in",
                   "this kernel gives this user neither a user namespace nor Landlock; start the "
                   "builder as root, or enable one of them");
  if (namespaces == Layer::not_available)
    isolation.missing.emplace_back("no namespaces: this kernel gives this user no user namespace");
  if (landlock == Layer::not_available)
    isolation.missing.emplace_back(
        "no Landlock: this kernel does not have it or does not enable it");
  TRY(forbid_new_descriptors());
  TRY(filter_system_calls());
  return isolation;
}

} // namespace ashlar::inspector
