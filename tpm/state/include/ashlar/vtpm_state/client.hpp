// SPDX-License-Identifier: LGPL-2.1-or-later
// The user's end of a store of blobs: of a vTPM that keeps its state there, and of the TPM Manager
// that keeps its table of keys there. The store may answer anything.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/vtpm_state/message.hpp"

namespace ashlar::vtpm_state {

/// Sends a packet to the store, and gives its answer.
using Exchange = std::function<Result<std::vector<std::byte>>(std::span<const std::byte>)>;

// In each, `doing` is for errors; beside those named there are those of `exchange`, and invalid (an
// answer that makes no sense) and io (the store failed).

/// A blob, which has the digest that is its name. Errors: integrity (lost; or the store gives
/// another one).
[[nodiscard]] Result<std::vector<std::byte>>
get_blob(const Exchange& exchange, const measure::Sha256& name, const std::string& doing);
/// Durable when it returns. A store that is started anew in the middle, and has some of the parts
/// only, gets all of it again. Errors: limit.
[[nodiscard]] Status put_blob(const Exchange& exchange, const measure::Sha256& name,
                              std::span<const std::byte> blob, const std::string& doing);
/// Of all blobs this one stays. Errors: integrity (it is not there).
[[nodiscard]] Status keep_blob(const Exchange& exchange, const measure::Sha256& name,
                               const std::string& doing);
/// The names of all blobs, at most max_blobs. Errors: integrity (they are none).
[[nodiscard]] Result<std::vector<measure::Sha256>> list_blobs(const Exchange& exchange,
                                                              const std::string& doing);

} // namespace ashlar::vtpm_state
