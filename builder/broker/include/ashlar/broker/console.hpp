// SPDX-License-Identifier: LGPL-2.1-or-later
// Guest consoles as xenconsoled keeps them: a log file for each domain and a pseudo-terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/broker/event_loop.hpp"

namespace ashlar::broker {

/// The last `bytes` bytes of what a domain has printed, from xenconsoled's log (guest-NAME.log).
/// A domain that printed nothing gives an empty text. Errors: io.
[[nodiscard]] Result<std::string> console_tail(const std::string& log_directory,
                                               const std::string& name, std::size_t bytes);

/// Removes the log of an earlier domain of this name: its output is not its successor's.
[[nodiscard]] Status forget_console(const std::string& log_directory, const std::string& name);

/// An attached console: what the guest prints comes by callback, input goes to the guest.
class Console {
public:
  using Output = std::function<void(std::span<const std::byte>)>;
  using Ended = std::function<void()>;

  /// Opens the pseudo-terminal at `path` (xenstore's console/tty). Errors: not_found, io, invalid
  /// (no terminal).
  [[nodiscard]] static Result<std::unique_ptr<Console>>
  attach(EventLoop& loop, const std::string& path, Output output, Ended ended);
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;
  ~Console();

  /// Writes what the terminal takes; the rest is dropped, as a serial line would. Errors: io.
  [[nodiscard]] Status input(std::span<const std::byte> bytes);
  /// Stops or goes on reading: for a client that is slower than the guest prints.
  void hold(bool on);

private:
  Console(EventLoop& loop, UniqueFd tty, Output output, Ended ended);
  void ready();

  EventLoop& loop_;
  UniqueFd tty_;
  Output output_;
  Ended ended_;
  EventLoop::Id watch_ = 0;
};

} // namespace ashlar::broker
