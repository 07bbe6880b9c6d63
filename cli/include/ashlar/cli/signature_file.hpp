// SPDX-License-Identifier: LGPL-2.1-or-later
// Detached signatures that go with images to the builder.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/cli/guest.hpp"

namespace ashlar::cli {

/// In the place of an initrd's signature: it comes without one.
inline constexpr std::string_view no_signature = "none";

/// Reads a CMS signature in PEM or DER, as `openssl cms -sign -binary` and `ashlar policy sign
/// --detached` make them, and gives it in DER. Whether it is right is for the verifier to say.
/// Errors: not_found, denied, io; invalid (neither form), limit.
[[nodiscard]] Result<std::vector<std::byte>> read_signature(const std::string& path);

/// A guest's signatures in DER; empty where an image comes without one.
struct GuestSignatures {
  std::vector<std::byte> kernel;
  std::vector<std::vector<std::byte>> initrds; // none, or one for each initrd
};

/// Reads all signatures that are given for a guest's images. Errors: as read_signature(); invalid
/// also when there is not one for each initrd.
[[nodiscard]] Result<GuestSignatures> read_signatures(const Guest& guest);

} // namespace ashlar::cli
