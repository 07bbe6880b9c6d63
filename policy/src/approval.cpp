// SPDX-License-Identifier: LGPL-2.1-or-later
// What can be said of a kernel before anybody asks for a guest of it.
#include "conditions.hpp"
#include "decide.hpp"

namespace ashlar::policy {

namespace {

bool concerns(const Rule& rule, const Requester& requester) {
  return contains(rule.requesters, requester.name) && contains(rule.verbs, to_string(Verb::create));
}

/// A deny rule whose kernels are not these cannot match; of any other it is not known.
bool may_deny(const Model& model, const Rule& rule, const measure::Sha256& sha256) {
  return !rule.allow &&
         (!rule.guest || !rule.guest->kernels || digest_among(model, *rule.guest->kernels, sha256));
}

} // namespace

bool approves_kernel(const Model& model, const Peer& peer, const measure::Sha256& sha256) {
  const Requester* requester = model.requester_of(peer);
  if (requester == nullptr || model.revoked_image(sha256) != nullptr)
    return false;
  for (const Rule& rule : model.rules) {
    if (!concerns(rule, *requester))
      continue;
    if (may_deny(model, rule, sha256))
      return false;
    if (rule.allow && rule.guest && rule.guest->kernels &&
        digest_among(model, *rule.guest->kernels, sha256))
      // With such entries it may be one that is revoked by what only the verifier will find inside.
      return model.revoked_authenticode.empty();
  }
  return false;
}

} // namespace ashlar::policy
