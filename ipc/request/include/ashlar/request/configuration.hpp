// SPDX-License-Identifier: LGPL-2.1-or-later
// What a Create message asks for, in the terms that are measured: one reading for the builder,
// which carries it out, and for the command, which predicts it.
#pragma once

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/message.hpp"
#include "ashlar/measure/domain_configuration.hpp"

namespace ashlar::request {

/// The configuration, with the defaults of the protocol for what is not said. Not validated.
/// Errors: invalid (no guest type, or a word of a later protocol).
[[nodiscard]] Result<measure::DomainConfiguration> configuration_of(const ashlar_v1_Create& create);

} // namespace ashlar::request
