// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "model.hpp"

namespace ashlar::policy {

/// The first rule that matches decides; no rule that matches means no.
[[nodiscard]] Decision decide(const Model& model, const Request& request);

/// Its own domains always; others' if it is declared with sees = "all". Who is not declared sees
/// nothing of others.
[[nodiscard]] bool may_see(const Model& model, std::string_view requester, std::string_view owner);

/// See Policy::approves_kernel.
[[nodiscard]] bool approves_kernel(const Model& model, const Peer& peer,
                                   const measure::Sha256& sha256);

} // namespace ashlar::policy
