// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/upload.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "ashlar/base/mapping.hpp"
#include "ashlar/base/memory_file.hpp"

namespace ashlar::broker {

namespace {
constexpr std::size_t chunk_bytes = 256 * 1024;
}

Result<ImageIntake> ImageIntake::begin(std::string what, std::uint64_t size) {
  UniqueFd file = TRY(create_memory_file("ashlar-image"));
  // At its full size from the start, and a hole still: the mapping does not grow with the file.
  if (ftruncate(file.value(), static_cast<off_t>(size)) != 0)
    return errno_failure(fmt::format("sizing the memory for {} to {} bytes", what, size));
  Mapping mapping = TRY(Mapping::of(file.value(), what));
  measure::ParallelDigest digest = TRY(measure::ParallelDigest::begin(mapping.bytes()));
  return ImageIntake(std::move(what), size, std::move(file), std::move(mapping), std::move(digest));
}

Status ImageIntake::take(std::span<const std::byte> chunk) {
  if (chunk.size() > size_ - received_)
    return failure(ErrorCode::limit, "receiving " + what_,
                   fmt::format("more than the {} bytes that were announced", size_));
  TRY(write_all(file_.value(), chunk, what_));
  received_ += chunk.size();
  digest_.available(received_);
  return {};
}

Result<ImageIntake::Received> ImageIntake::finish() {
  if (received_ != size_)
    return failure(ErrorCode::integrity, "receiving " + what_,
                   fmt::format("{} bytes came, {} were announced", received_, size_));
  TRY(seal(file_.value(), what_));
  return Received{TRY(digest_.finish()), received_, std::move(file_)};
}

Result<OpenedFile> open_file(const std::string& path) {
  OpenedFile file;
  file.fd = UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (!file.fd || fstat(file.fd.value(), &status) != 0)
    return errno_failure("opening " + path);
  constexpr std::int64_t ns_in_second = 1'000'000'000;
  file.version = {.device = status.st_dev,
                  .inode = status.st_ino,
                  .size = static_cast<std::uint64_t>(status.st_size),
                  .changed_ns = status.st_ctim.tv_sec * ns_in_second + status.st_ctim.tv_nsec};
  return file;
}

Result<ImageIntake::Received> take_in_file(const OpenedFile& file, const std::string& path,
                                           std::uint64_t limit) {
  const std::uint64_t size = file.version.size;
  if (size > limit)
    return failure(ErrorCode::limit, "reading " + path,
                   fmt::format("it has {} bytes, at most {} are taken", size, limit));
  ImageIntake intake = TRY(ImageIntake::begin(path, size));
  std::vector<std::byte> buffer(chunk_bytes);
  for (;;) {
    const ssize_t count = ::read(file.fd.value(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return errno_failure("reading " + path);
    if (count == 0)
      return intake.finish();
    TRY(intake.take(std::span(buffer).first(static_cast<std::size_t>(count))));
  }
}

Result<ImageIntake::Received> take_in_stored(const std::string& name, UniqueFd file) {
  TRY(require_sealed(file.value(), name));
  const Mapping mapping = TRY(Mapping::of(file.value(), name));
  return ImageIntake::Received{TRY(measure::digest(mapping.bytes())), mapping.bytes().size(),
                               std::move(file)};
}

} // namespace ashlar::broker
