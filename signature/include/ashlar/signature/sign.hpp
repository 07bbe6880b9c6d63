// SPDX-License-Identifier: LGPL-2.1-or-later
// Making what cms.hpp reads. For the command only: no daemon holds a private key.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "ashlar/base/result.hpp"

namespace ashlar::signature {

enum class Form {
  with_content, // for a release manifest: one text to hand on
  detached,     // for an image
};

/// Signs `content` with SHA-256 and the private key in `key_pem` (not encrypted; RSA or EC), whose
/// certificate is in `certificate_pem`, and gives the message as PEM. Errors: invalid (a PEM text
/// that cannot be read, or a key that does not belong to the certificate).
[[nodiscard]] Result<std::string> sign(std::span<const std::byte> content, Form form,
                                       std::string_view key_pem, std::string_view certificate_pem);

} // namespace ashlar::signature
