// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/sessions.hpp"

#include <poll.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/broker/limits.hpp"
#include "ashlar/ipc/vchan.hpp"

namespace ashlar::broker {

namespace {

/// Where a client domain asks for a vchan: see ipc/vchan.hpp for the steps.
std::string requests_path(std::uint32_t domid) {
  return fmt::format("/local/domain/{}/data/ashlar", domid);
}

/// The domid in a path below requests_path(), if it is one.
std::optional<std::uint32_t> requesting_domid(std::string_view path) {
  constexpr std::string_view prefix = "/local/domain/";
  if (!path.starts_with(prefix))
    return std::nullopt;
  path.remove_prefix(prefix.size());
  std::uint32_t domid = 0;
  const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), domid);
  const std::string_view rest(end, path.data() + path.size());
  if (error != std::errc() || !rest.starts_with("/data/ashlar"))
    return std::nullopt;
  return domid;
}

/// The same domain, or the same user in whatever process.
bool same_peer(const ipc::TransportPeer& one, const ipc::TransportPeer& other) {
  const auto* domain = std::get_if<ipc::VchanPeer>(&one);
  const auto* other_domain = std::get_if<ipc::VchanPeer>(&other);
  if (domain || other_domain)
    return domain && other_domain && domain->domid == other_domain->domid;
  return std::get<ipc::UnixPeer>(one).uid == std::get<ipc::UnixPeer>(other).uid;
}

/// Removes what is left of a domain's vchans: closing one removes its nodes but not the directory
/// that they were in, and a builder that was killed closed none.
void remove_rings(xen::Store& store, std::uint32_t domid) {
  const std::string served = fmt::format("/local/domain/{}/data/ashlar/{}", builder_domid, domid);
  if (const Status removed = store.remove(served); !removed)
    log::warning("{}", removed.error().message());
}

/// A domain that could connect is gone.
void forget_requests(xen::Store& store, std::uint32_t domid) {
  static_cast<void>(store.unwatch(requests_path(domid)));
  remove_rings(store, domid);
}

} // namespace

Sessions::~Sessions() {
  services_.loop.forget(listen_watch_);
}

Status Sessions::listen(const std::string& path) {
  listener_ = TRY(ipc::UnixListener::bind(path));
  listen_watch_ =
      services_.loop.watch(listener_->descriptor(), POLLIN, [this](short) { accept(); });
  return {};
}

void Sessions::accept() {
  Result<std::unique_ptr<ipc::Transport>> transport = listener_->accept();
  if (!transport)
    return log::warning("{}", transport.error().message());
  if (!*transport)
    return;
  const auto peer = std::get<ipc::UnixPeer>((*transport)->peer());
  if (const std::string reason = no_room(peer); !reason.empty())
    return log::warning("a connection of uid {} is closed: {}", peer.uid, reason);
  add(std::move(*transport), policy::ProcessPeer{peer.uid, peer.gid});
}

std::string Sessions::no_room(const ipc::TransportPeer& peer) const {
  if (sessions_.size() >= max_connections)
    return fmt::format("the builder has {} connections, as many as it takes", sessions_.size());
  // One peer must not be able to keep all others out.
  const auto own = std::ranges::count_if(sessions_, [&peer](const auto& entry) {
    return same_peer(entry.second->transport_peer(), peer);
  });
  if (static_cast<std::size_t>(own) >= max_connections_per_peer)
    return fmt::format("it has {} connections, as many as one domain or user may", own);
  return {};
}

void Sessions::add(std::unique_ptr<ipc::Transport> transport, policy::Peer peer) {
  const Id id = next_id_++;
  sessions_[id] = std::make_unique<Session>(services_, std::move(transport), std::move(peer),
                                            [this, id] { sessions_.erase(id); });
}

void Sessions::domains_changed() {
  std::set<std::uint32_t> wanted;
  for (const auto& [domid, domain] : services_.domains.all())
    if (domain.requester)
      wanted.insert(domid);
  // Not destroyed here: one of them may be the caller, in the middle of its request.
  for (const auto& [id, session] : sessions_) {
    const auto* peer = std::get_if<ipc::VchanPeer>(&session->transport_peer());
    if (peer && !wanted.contains(peer->domid))
      session->close("its domain is gone");
  }
  for (const std::uint32_t domid : watched_)
    if (!wanted.contains(domid))
      forget_requests(services_.store, domid);
  for (const std::uint32_t domid : wanted) {
    if (watched_.contains(domid))
      continue;
    remove_rings(services_.store, domid); // nobody is connected yet: they are a predecessor's
    if (const Status watching = services_.store.watch(requests_path(domid)); !watching)
      log::error("domain {} will not be able to connect: {}", domid, watching.error().message());
  }
  watched_ = std::move(wanted);
}

void Sessions::store_changed(const std::string& path) {
  const std::optional<std::uint32_t> domid = requesting_domid(path);
  if (domid && watched_.contains(*domid))
    answer_requests(*domid);
}

void Sessions::answer_requests(std::uint32_t domid) {
  const Result<std::vector<std::string>> tokens = services_.store.list(requests_path(domid));
  if (!tokens)
    return; // none now
  for (const std::string& token : *tokens) {
    const std::string node = requests_path(domid) + "/" + token;
    const Result<std::string> state = services_.store.read(node);
    if (!ipc::valid_vchan_token(token) || !state)
      continue;
    if (const auto rings = ipc::wanted_rings(*state, builder_domid))
      open_vchan(domid, token, *rings);
  }
}

void Sessions::open_vchan(std::uint32_t domid, const std::string& token, ipc::RingBytes rings) {
  const Domain* domain = services_.domains.find(domid);
  if (!domain)
    return;
  std::string reason = no_room(ipc::VchanPeer{domid});
  if (reason.empty()) {
    Result<std::unique_ptr<ipc::Transport>> transport =
        ipc::serve_vchan(domid, ipc::vchan_server_path(builder_domid, domid, token), rings);
    if (transport)
      add(std::move(*transport),
          policy::DomainPeer{domain->name(), measure::to_string(domain->uuid())});
    else
      reason = transport.error().message();
  }
  if (!reason.empty())
    log::warning("a vchan for domain {} is refused: {}", domid, reason);
  const std::string answer = reason.empty() ? "ready" : "refused: " + reason;
  if (const Status told = services_.store.write(requests_path(domid) + "/" + token, answer); !told)
    log::warning("answering domain {}: {}", domid, told.error().message());
}

} // namespace ashlar::broker
