// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/console.hpp"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "ashlar/base/memory_file.hpp"

namespace ashlar::broker {

namespace {
/// One ConsoleOutput message (ashlar.options).
constexpr std::size_t piece_bytes = 4096;

std::string log_path(const std::string& directory, const std::string& name) {
  return directory + "/guest-" + name + ".log";
}
} // namespace

Result<std::string> console_tail(const std::string& log_directory, const std::string& name,
                                 std::size_t bytes) {
  const std::string path = log_path(log_directory, name);
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd && errno == ENOENT)
    return std::string();
  if (!fd)
    return errno_failure("opening the console log " + path);
  const std::uint64_t size = TRY(file_size(fd.value(), path));
  const std::uint64_t wanted = std::min<std::uint64_t>(bytes, size);
  std::string text(wanted, '\0');
  const ssize_t count =
      pread(fd.value(), text.data(), text.size(), static_cast<off_t>(size - wanted));
  if (count < 0)
    return errno_failure("reading the console log " + path);
  text.resize(static_cast<std::size_t>(count));
  return text;
}

Status forget_console(const std::string& log_directory, const std::string& name) {
  const std::string path = log_path(log_directory, name);
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return errno_failure("removing the console log " + path);
  return {};
}

Result<std::unique_ptr<Console>> Console::attach(EventLoop& loop, const std::string& path,
                                                 Output output, Ended ended) {
  UniqueFd tty(open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!tty)
    return errno_failure("opening the console terminal " + path);
  termios mode{};
  if (tcgetattr(tty.value(), &mode) != 0)
    return errno_failure("reading the mode of the console terminal " + path);
  cfmakeraw(&mode);
  if (tcsetattr(tty.value(), TCSANOW, &mode) != 0)
    return errno_failure("setting the console terminal " + path + " to raw mode");
  return std::unique_ptr<Console>(
      new Console(loop, std::move(tty), std::move(output), std::move(ended)));
}

Console::Console(EventLoop& loop, UniqueFd tty, Output output, Ended ended)
    : loop_(loop), tty_(std::move(tty)), output_(std::move(output)), ended_(std::move(ended)) {
  watch_ = loop_.watch(tty_.value(), POLLIN, [this](short) { ready(); });
}

Console::~Console() {
  loop_.forget(watch_);
}

void Console::hold(bool on) {
  loop_.change(watch_, on ? short{0} : short{POLLIN});
}

void Console::ready() {
  std::byte piece[piece_bytes];
  const ssize_t count = ::read(tty_.value(), piece, sizeof piece);
  if (count < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  // The other side of the terminal is closed when the domain is gone (EIO).
  if (count <= 0) {
    const Ended ended = ended_;
    return ended(); // may destroy this object
  }
  output_(std::span(piece).first(static_cast<std::size_t>(count)));
}

Status Console::input(std::span<const std::byte> bytes) {
  if (::write(tty_.value(), bytes.data(), bytes.size()) < 0 && errno != EAGAIN)
    return errno_failure("writing to the console terminal");
  return {};
}

} // namespace ashlar::broker
