// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/unix_socket.hpp"
#include "ashlar/tpm/manager.hpp"
#include "ashlar/tpm/session.hpp"
#include "ashlar/tpm/settings.hpp"
#include "ashlar/tpm/vtpm_service.hpp"

namespace ashlar::tpm {

/// Lets the builder in, and nobody else; by vchan it serves vTPMs too, over tpmif. One connection
/// at a time; a builder that comes again (after a restart) takes the place of its earlier
/// connection.
class Server {
public:
  /// Listens as the settings say. By vchan there is a ring for the builder's domain from now on, at
  /// manager_vchan_path(). All but the settings outlive the server. Errors: io, exists, limit.
  [[nodiscard]] static Result<std::unique_ptr<Server>>
  open(Manager& manager, KeyStore& keys, Quoter& quoter, const Settings& settings);

  /// Serves until `stop_descriptor` is readable. Errors: io (poll, or no new vchan can be opened).
  [[nodiscard]] Status run(int stop_descriptor);

private:
  Server(Manager& manager, KeyStore& keys, Quoter& quoter, const Settings& settings)
      : manager_(manager), builder_domid_(settings.builder_domid), vtpms_(manager, keys, quoter) {}
  [[nodiscard]] Status accept();
  [[nodiscard]] Status serve_session();
  [[nodiscard]] Status open_vchan();
  void admit(std::unique_ptr<ipc::Transport> transport);

  Manager& manager_;
  std::uint32_t builder_domid_;
  std::optional<ipc::UnixListener> listener_; // none: vchan
  std::unique_ptr<Session> session_;
  VtpmService vtpms_;
  std::unique_ptr<ipc::TpmifBackends> devices_; // none on a Unix socket: there are no domains
};

} // namespace ashlar::tpm
