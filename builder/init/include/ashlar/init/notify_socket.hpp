// SPDX-License-Identifier: LGPL-2.1-or-later
// The socket that NOTIFY_SOCKET names: sd_notify(3)'s datagrams, with descriptors and credentials.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"

namespace ashlar::init {

/// The assignments of one datagram that init acts on; it skips others, as sd_notify(3) says.
struct Notification {
  bool ready = false;          // READY=1
  bool store = false;          // FDSTORE=1
  bool remove = false;         // FDSTOREREMOVE=1
  std::string descriptor_name; // FDNAME=
  std::string status;          // STATUS=
};

/// Reads newline-separated assignments.
[[nodiscard]] Notification parse_notification(std::string_view text);

/// One datagram: what it says, who sent it (as the kernel says), and the descriptors in it.
struct NotifyDatagram {
  Notification notification;
  pid_t sender = 0;
  std::vector<UniqueFd> descriptors;
};

class NotifySocket {
public:
  /// Binds `path`, replacing what is there; mode 0600. Errors: io, limit (path too long).
  [[nodiscard]] static Result<NotifySocket> bind(const std::string& path);

  [[nodiscard]] int descriptor() const { return fd_.value(); }

  /// The next waiting datagram, or nothing. Never blocks. A datagram that is too long, or whose
  /// descriptors did not all arrive, is dropped with its descriptors. Errors: io, limit.
  [[nodiscard]] Result<std::optional<NotifyDatagram>> receive();

private:
  explicit NotifySocket(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

} // namespace ashlar::init
