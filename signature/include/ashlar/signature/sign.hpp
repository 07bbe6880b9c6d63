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

/// A PEM text, and the file that it is from.
struct PemFile {
  std::string text;
  std::string path;
};

/// Signs `content` with SHA-256 and a private key (not encrypted; RSA from 2048 bits, or ECDSA),
/// and gives the message as PEM. Errors: invalid (a PEM text that cannot be read, or a key that
/// does not belong to the certificate), unsupported (a key that no builder would take), naming the
/// file.
[[nodiscard]] Result<std::string> sign(std::span<const std::byte> content, Form form,
                                       const PemFile& key, const PemFile& certificate);

} // namespace ashlar::signature
