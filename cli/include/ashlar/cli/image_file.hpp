// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/ipc/message.hpp"
#include "ashlar/measure/digest.hpp"

namespace ashlar::cli {

/// A kernel or initrd file, open and hashed. It is read again for an upload: bytes that changed in
/// between have another digest, which the builder notices.
struct ImageFile {
  std::string path;         // or "sha256:DIGEST"
  UniqueFd fd;              // none: the digest alone is known
  std::uint64_t size = 0;   // bytes
  measure::Digests digests; // SHA-256 always, the others if they were asked for
};

/// Which digests are computed. The builder computes its own of what it gets: to tell it which image
/// is meant, the slower ones would be computed for nothing.
enum class Hashing { name, all_banks };

/// Opens a regular file and hashes it. Errors: not_found, denied, io, invalid (not a regular file).
[[nodiscard]] Result<ImageFile> open_image(const std::string& path, Hashing hashing);

/// Is it "sha256:…", the name of an image at the builder, and not that of a file?
[[nodiscard]] bool named_by_digest(std::string_view text);

/// Opens a file, or takes an image that the builder holds by its name there: "sha256:" and 64
/// hexadecimal digits. Errors: as open_image.
[[nodiscard]] Result<ImageFile> find_image(const std::string& text, Hashing hashing);

/// Copies a regular file of at most `limit` bytes into a sealed memory file, which is the result's
/// fd: the digests are those of the copy, whatever becomes of the file. Errors: as open_image, and
/// limit.
[[nodiscard]] Result<ImageFile> sealed_copy(const std::string& path, std::uint64_t limit);

/// Moves the file's position back to its start, for an upload. Errors: io.
[[nodiscard]] Status rewind_image(const ImageFile& image);

/// How the image is named to the builder.
[[nodiscard]] ashlar_v1_ImageRef reference_to(const ImageFile& image);

} // namespace ashlar::cli
