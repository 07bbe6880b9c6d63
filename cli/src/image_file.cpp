// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/image_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"

namespace ashlar::cli {

namespace {

constexpr std::size_t read_bytes = 1024 * 1024;
constexpr std::string_view digest_prefix = "sha256:";

Result<UniqueFd> open_regular(const std::string& path) {
  // O_NONBLOCK: opening a FIFO by mistake must not hang; it has no effect on regular files.
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd)
    return errno_failure("opening the image " + path);
  struct stat info = {};
  if (fstat(fd.value(), &info) != 0)
    return errno_failure("looking at the image " + path);
  if (!S_ISREG(info.st_mode))
    return failure(ErrorCode::invalid, "opening the image " + path, "it is not a regular file");
  return fd;
}

/// Hands all bytes of an open file to `take`, piece by piece.
Status read_pieces(int fd, const std::string& path,
                   const std::function<Status(std::span<const std::byte>)>& take) {
  std::vector<std::byte> buffer(read_bytes);
  for (;;) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return errno_failure("reading the image " + path);
    if (count == 0)
      return {};
    TRY(take(std::span(buffer).first(static_cast<std::size_t>(count))));
  }
}

} // namespace

Result<ImageFile> open_image(const std::string& path, Hashing hashing) {
  ImageFile image;
  image.path = path;
  image.fd = TRY(open_regular(path));
  std::vector<measure::BankStream> streams;
  for (const measure::Bank bank : measure::all_banks)
    if (hashing == Hashing::all_banks || bank == measure::Bank::sha256)
      streams.push_back(TRY(measure::BankStream::create(bank)));
  const auto hash = [&](std::span<const std::byte> piece) -> Status {
    image.size += piece.size();
    for (measure::BankStream& stream : streams)
      TRY(stream.update(piece));
    return {};
  };
  TRY(read_pieces(image.fd.value(), path, hash));
  for (measure::BankStream& stream : streams)
    TRY(stream.finish(image.digests));
  return image;
}

bool named_by_digest(std::string_view text) {
  return text.starts_with(digest_prefix);
}

Result<ImageFile> find_image(const std::string& text, Hashing hashing) {
  if (!named_by_digest(text))
    return open_image(text, hashing);
  ImageFile image;
  image.path = text;
  image.digests.sha256 =
      TRY(measure::sha256_from_hex(std::string_view(text).substr(digest_prefix.size()),
                                   "the image \"" + printable(text) + "\""));
  return image;
}

Result<ImageFile> sealed_copy(const std::string& path, std::uint64_t limit) {
  const UniqueFd file = TRY(open_regular(path));
  ImageFile image;
  image.path = path;
  image.fd = TRY(create_memory_file("ashlar-image"));
  measure::DigestStream stream = TRY(measure::DigestStream::create());
  const auto copy = [&](std::span<const std::byte> piece) -> Status {
    image.size += piece.size();
    if (image.size > limit)
      return limit_failure("reading the image " + path, "it is too large to be a kernel",
                           std::to_string(limit) + " bytes");
    TRY(stream.update(piece));
    return write_all(image.fd.value(), piece, "the copy of " + path);
  };
  TRY(read_pieces(file.value(), path, copy));
  TRY(seal(image.fd.value(), "the copy of " + path));
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
