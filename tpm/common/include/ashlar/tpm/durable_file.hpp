// SPDX-License-Identifier: LGPL-2.1-or-later
// A file that is replaced as a whole, in two steps that each hold when they return.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ashlar/base/result.hpp"

namespace ashlar::tpm {

/// Where the next content waits until it is put in place.
[[nodiscard]] std::string staged_path(const std::string& path);
/// Makes a directory and those above it that are not there. Errors: io.
[[nodiscard]] Status make_directories(const std::string& path);
/// Writes the next content beside the file; after an error nothing of it is there. Errors: io.
[[nodiscard]] Status stage(const std::string& path, std::span<const std::byte> bytes);
/// Puts what was staged in the place of the file. Errors: io.
[[nodiscard]] Status put_in_place(const std::string& path);

} // namespace ashlar::tpm
