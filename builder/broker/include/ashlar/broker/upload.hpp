// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "ashlar/base/mapping.hpp"
#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/broker/image_store.hpp"
#include "ashlar/measure/parallel_digest.hpp"

namespace ashlar::broker {

/// Takes in one image: each chunk is written to a memory file that nobody else has, and hashed from
/// the pages of that very file while the next ones come. This is where "the bytes measured are the
/// bytes loaded" begins.
class ImageIntake {
public:
  struct Received {
    measure::Digests digests;
    std::uint64_t size = 0;
    UniqueFd file; // sealed
  };

  /// `what` names the image in errors; `size` is how many bytes must come.
  [[nodiscard]] static Result<ImageIntake> begin(std::string what, std::uint64_t size);

  /// Errors: limit (more bytes than announced), io, internal.
  [[nodiscard]] Status take(std::span<const std::byte> chunk);
  /// Seals the file and waits for the digests. Errors: integrity (fewer bytes than announced), io.
  [[nodiscard]] Result<Received> finish();

  [[nodiscard]] std::uint64_t received_bytes() const { return received_; }
  [[nodiscard]] std::uint64_t announced_bytes() const { return size_; }

private:
  ImageIntake(std::string what, std::uint64_t size, UniqueFd file, Mapping mapping,
              measure::ParallelDigest digest)
      : what_(std::move(what)), size_(size), file_(std::move(file)), mapping_(std::move(mapping)),
        digest_(std::move(digest)) {}

  std::string what_;
  std::uint64_t size_;
  std::uint64_t received_ = 0;
  UniqueFd file_;
  Mapping mapping_;                // of the file, for reading
  measure::ParallelDigest digest_; // of the mapping: ends before it
};

/// A file of the builder domain, opened for reading, and which version of it. Errors: not_found,
/// io.
struct OpenedFile {
  UniqueFd fd;
  FileVersion version;
};
[[nodiscard]] Result<OpenedFile> open_file(const std::string& path);

/// Takes in a file of the builder domain, the same way. Errors: io, limit.
[[nodiscard]] Result<ImageIntake::Received>
take_in_file(const OpenedFile& file, const std::string& path, std::uint64_t limit);

/// Measures what the supervisor kept over a restart, anew: its seals are checked, then its bytes
/// hashed.
[[nodiscard]] Result<ImageIntake::Received> take_in_stored(const std::string& name, UniqueFd file);

} // namespace ashlar::broker
