// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/ipc/transport.hpp"

namespace ashlar::ipc {

/// A listening Unix stream socket. The peer's identity is SO_PEERCRED's.
class UnixListener {
public:
  /// Binds `path`, replacing a stale socket; mode 0666, since the policy decides who may do what.
  [[nodiscard]] static Result<UnixListener> bind(const std::string& path);
  [[nodiscard]] int descriptor() const { return fd_.value(); }
  /// One waiting connection, or nothing (a null pointer) when there is none.
  [[nodiscard]] Result<std::unique_ptr<Transport>> accept();

private:
  explicit UnixListener(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

/// Connects to a listener. Errors: not_found, denied, io.
[[nodiscard]] Result<std::unique_ptr<Transport>> connect_unix(const std::string& path);

} // namespace ashlar::ipc
