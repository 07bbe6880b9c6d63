// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/relay.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "ashlar/base/unique_fd.hpp"

namespace ashlar::init {

std::string Relay::next_lines() {
  std::string out;
  const UniqueFd log(::open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info = {};
  if (!log || ::fstat(log.value(), &info) != 0)
    return out;
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size < offset_)
    offset_ = size;
  std::array<char, 16 * 1024> buffer = {};
  while (offset_ < size) {
    const ssize_t got =
        ::pread(log.value(), buffer.data(), buffer.size(), static_cast<off_t>(offset_));
    if (got <= 0)
      break;
    offset_ += static_cast<std::uint64_t>(got);
    take(std::string_view(buffer.data(), static_cast<std::size_t>(got)), out);
  }
  return out;
}

void Relay::take(std::string_view text, std::string& out) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n' || line_.size() >= max_relay_line)
      end_line(out);
    if (byte >= 0x20 && byte != 0x7f)
      line_.push_back(c);
  }
}

void Relay::end_line(std::string& out) {
  out += name_ + "| " + line_ + "\n";
  line_.clear();
}

} // namespace ashlar::init
