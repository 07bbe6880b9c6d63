// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/server.hpp"

#include <poll.h>

#include <array>
#include <cerrno>
#include <utility>

#include "ashlar/base/log.hpp"
#include "ashlar/ipc/vchan.hpp"

namespace ashlar::tpm {

namespace {

// Relative: below this domain's own directory, whatever its number. See manager_vchan_path().
constexpr const char* vchan_path = "data/ashlar/tpm-manager";

} // namespace

Result<std::unique_ptr<Server>> Server::open(Manager& manager, KeyStore& keys, Quoter& quoter,
                                             const Settings& settings) {
  constexpr std::string_view unix_prefix = "unix:";
  std::unique_ptr<Server> server(new Server(manager, keys, quoter, settings));
  if (settings.listen.starts_with(unix_prefix)) {
    server->listener_ = TRY(ipc::UnixListener::bind(settings.listen.substr(unix_prefix.size())));
    return server;
  }
  TRY(server->open_vchan());
  server->devices_ = TRY(ipc::TpmifBackends::open(server->vtpms_));
  return server;
}

Status Server::open_vchan() {
  session_.reset(); // its end removes the ring's nodes, which the next one writes anew
  admit(TRY(ipc::serve_vchan(builder_domid_, vchan_path, ipc::RingBytes::for_messages)));
  return {};
}

void Server::admit(std::unique_ptr<ipc::Transport> transport) {
  if (!from_builder(transport->peer(), builder_domid_))
    return log::warning("a connection is closed: it is not the builder's");
  session_ = std::make_unique<Session>(manager_, vtpms_.evidence(), std::move(transport));
}

Status Server::accept() {
  std::unique_ptr<ipc::Transport> transport = TRY(listener_->accept());
  if (transport)
    admit(std::move(transport));
  return {};
}

Status Server::serve_session() {
  const Status served = session_->turn();
  if (served)
    return {};
  if (served.error().code == ErrorCode::peer_closed)
    log::info("the builder is gone: {}", served.error().message());
  else
    log::warning("the builder's connection is closed: {}", served.error().message());
  if (!listener_)
    return open_vchan();
  session_.reset();
  return {};
}

Status Server::run(int stop_descriptor) {
  for (;;) {
    std::array<pollfd, 4> waiting = {pollfd{stop_descriptor, POLLIN, 0}, pollfd{-1, POLLIN, 0},
                                     pollfd{-1, 0, 0}, pollfd{-1, POLLIN, 0}};
    if (listener_)
      waiting[1].fd = listener_->descriptor();
    if (session_)
      waiting[2] = {session_->transport().descriptor(), session_->events(), 0};
    if (devices_)
      waiting[3].fd = devices_->descriptor();
    const int timeout = session_ && session_->busy() ? 0 : -1;
    if (poll(waiting.data(), waiting.size(), timeout) < 0 && errno != EINTR)
      return errno_failure("waiting for the builder and vTPMs");
    if (waiting[0].revents != 0)
      return {};
    if (session_ && (waiting[2].revents != 0 || session_->busy()))
      TRY(serve_session());
    // After the builder: a revocation that has come holds for the questions that have come.
    if (waiting[3].revents != 0)
      TRY(devices_->turn());
    if (waiting[1].revents != 0)
      if (const Status accepted = accept(); !accepted)
        log::warning("{}", accepted.error().message());
  }
}

} // namespace ashlar::tpm
