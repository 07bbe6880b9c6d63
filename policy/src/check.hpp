// SPDX-License-Identifier: LGPL-2.1-or-later
// What is wrong between the tables of a policy.
#pragma once

#include "fields.hpp"
#include "model.hpp"

namespace ashlar::policy {

/// Errors: names and identities declared twice, rules that refer to nothing or to an image of the
/// wrong kind.
void check_references(const Model& model, Findings& findings);

/// Errors: rules that can never match. Warnings: images and requesters that no rule uses,
/// conditions that a reader could take for more than they are. Only for a policy without errors.
void lint(const Model& model, Findings& findings);

/// Warnings: globs that fit nothing a request can hold, entries that take nothing that another one
/// does not take. Part of lint().
void lint_devices(const Rule& rule, Findings& findings);

} // namespace ashlar::policy
