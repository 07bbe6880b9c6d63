// SPDX-License-Identifier: LGPL-2.1-or-later
// From signatures that the admin put into the policy to digests.
#pragma once

#include "fields.hpp"
#include "model.hpp"

namespace ashlar::policy {

/// Verifies manifests and detached signatures and gives images the digests that they approve.
/// Errors: a signature that is wrong or by somebody else, a manifest that is older than its release
/// allows or for a release that nobody declares. Only for a policy whose references are right.
void resolve_signatures(Model& model, Findings& findings);

/// Warnings: certificates that are not valid at `now` (seconds since 1970), that are revoked or
/// that nothing uses; releases without a manifest or a use; revoked digests that images still list.
/// None is an error: a policy that takes something back must load.
void lint_signatures(const Model& model, std::int64_t now, Findings& findings);

} // namespace ashlar::policy
