// SPDX-License-Identifier: LGPL-2.1-or-later
// The service supervisor keeps the builder's sealed images while the builder restarts: the file
// descriptor store of sd_notify(3) and sd_listen_fds(3), as systemd and ashlar-init offer it.
#pragma once

#include <map>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"

namespace ashlar::broker {

class FdStore {
public:
  /// Reads NOTIFY_SOCKET, LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES from the environment and
  /// removes them from it. Without a supervisor the store is inactive and all calls succeed and do
  /// nothing.
  [[nodiscard]] static FdStore from_environment();

  /// What an earlier incarnation of this process stored, by name. Gives each descriptor once.
  [[nodiscard]] std::map<std::string, UniqueFd> take_stored() { return std::move(stored_); }

  [[nodiscard]] bool active() const { return !socket_path_.empty(); }
  /// Asks the supervisor to hold a duplicate of `fd` as `name` ([a-z0-9-], at most 255 bytes).
  [[nodiscard]] Status store(const std::string& name, int fd);
  [[nodiscard]] Status remove(const std::string& name);
  /// READY=1 with a status text: the service takes requests now.
  [[nodiscard]] Status ready(const std::string& status);

private:
  [[nodiscard]] Status notify(const std::string& message, int fd);
  std::string socket_path_;
  std::map<std::string, UniqueFd> stored_;
};

} // namespace ashlar::broker
