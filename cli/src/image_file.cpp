// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/image_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace ashlar::cli {

namespace {
constexpr std::size_t read_bytes = 1024 * 1024;
}

Result<ImageFile> open_image(const std::string& path) {
  ImageFile image;
  image.path = path;
  // O_NONBLOCK: opening a FIFO by mistake must not hang; it has no effect on regular files.
  image.fd.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!image.fd)
    return errno_failure("opening the image " + path);
  struct stat info = {};
  if (fstat(image.fd.value(), &info) != 0)
    return errno_failure("looking at the image " + path);
  if (!S_ISREG(info.st_mode))
    return failure(ErrorCode::invalid, "opening the image " + path, "it is not a regular file");
  measure::DigestStream stream = TRY(measure::DigestStream::create());
  std::vector<std::byte> buffer(read_bytes);
  for (;;) {
    const ssize_t count = ::read(image.fd.value(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return errno_failure("reading the image " + path);
    if (count == 0)
      break;
    TRY(stream.update(std::span(buffer).first(static_cast<std::size_t>(count))));
    image.size += static_cast<std::uint64_t>(count);
  }
  image.digests = TRY(stream.finish());
  return image;
}

Status rewind_image(const ImageFile& image) {
  if (lseek(image.fd.value(), 0, SEEK_SET) != 0)
    return errno_failure("going back to the start of " + image.path);
  return {};
}

ashlar_v1_ImageRef reference_to(const ImageFile& image) {
  ashlar_v1_ImageRef reference{};
  reference.size = image.size;
  static_assert(sizeof reference.sha256.bytes == sizeof(measure::Sha256));
  std::ranges::transform(image.digests.sha256, reference.sha256.bytes,
                         [](std::byte byte) { return std::to_integer<pb_byte_t>(byte); });
  reference.sha256.size = sizeof reference.sha256.bytes;
  ipc::set_text(reference.label, image.path);
  return reference;
}

} // namespace ashlar::cli
