// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "ashlar/broker/services.hpp"
#include "ashlar/broker/session.hpp"
#include "ashlar/ipc/unix_socket.hpp"
#include "ashlar/ipc/vchan.hpp"

namespace ashlar::broker {

/// Lets clients in: opens their connections, keeps the sessions, and ends those of domains that are
/// gone.
class Sessions {
public:
  explicit Sessions(Services& services) : services_(services) {}
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  /// Takes connections from a Unix socket too. Errors: io.
  [[nodiscard]] Status listen(const std::string& path);

  /// Follows the table of domains: watches the vchan requests of each domain that may connect, and
  /// closes the sessions of domains that are gone (Xen keeps a destroyed domain as long as we map
  /// its pages).
  void domains_changed();

  /// A xenstore watch event. Paths that are none of this class's are ignored.
  void store_changed(const std::string& path);

  /// Begins a session on a connection whose peer its transport vouches for.
  void add(std::unique_ptr<ipc::Transport> transport, policy::Peer peer);

  [[nodiscard]] std::size_t count() const { return sessions_.size(); }

private:
  using Id = std::uint64_t;
  [[nodiscard]] std::shared_ptr<PeerLog> log_of(const ipc::TransportPeer& peer);
  void accept();
  void open_vchan(std::uint32_t domid, const std::string& token, ipc::RingBytes rings);
  void answer_request(std::uint32_t domid, const std::string& token);
  /// Why one more connection of this peer is not taken; empty: it is.
  [[nodiscard]] std::string no_room(const ipc::TransportPeer& peer) const;

  Services& services_;
  std::optional<ipc::UnixListener> listener_;
  EventLoop::Id listen_watch_ = 0;
  EventLoop::Id accept_again_ = 0; // after accept_pause
  std::map<Id, std::unique_ptr<Session>> sessions_;
  Id next_id_ = 1;
  std::map<std::string, std::shared_ptr<PeerLog>> logs_; // by domain or uid
  std::set<std::uint32_t> watched_;                      // domids whose requests are watched
  std::set<std::uint32_t> unread_; // those of them whose requests were not read yet
};

} // namespace ashlar::broker
