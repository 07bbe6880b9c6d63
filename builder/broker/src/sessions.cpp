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

/// What a path at or below requests_path() is about.
struct Asked {
  std::uint32_t domid = 0;
  std::string_view token; // empty: all that the domain asks for
};

/// Nothing for other paths, also below a request, where nobody has to write.
std::optional<Asked> asked_at(std::string_view path) {
  constexpr std::string_view prefix = "/local/domain/";
  constexpr std::string_view suffix = "/data/ashlar";
  if (!path.starts_with(prefix))
    return std::nullopt;
  path.remove_prefix(prefix.size());
  Asked asked;
  const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), asked.domid);
  path.remove_prefix(static_cast<std::size_t>(end - path.data()));
  if (error != std::errc() || !path.starts_with(suffix))
    return std::nullopt;
  path.remove_prefix(suffix.size());
  if (path.empty())
    return asked;
  asked.token = path.substr(1);
  return path.front() == '/' && ipc::valid_vchan_token(asked.token) ? std::optional(asked)
                                                                    : std::nullopt;
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
  services_.loop.forget(accept_again_);
}

Status Sessions::listen(const std::string& path) {
  listener_ = TRY(ipc::UnixListener::bind(path));
  listen_watch_ =
      services_.loop.watch(listener_->descriptor(), POLLIN, [this](short) { accept(); });
  return {};
}

void Sessions::accept() {
  Result<std::unique_ptr<ipc::Transport>> transport = listener_->accept();
  if (!transport) {
    log::warning("{}; the next attempt is in {} s", transport.error().message(),
                 accept_pause.count());
    // It still waits, and would have the event loop come here at once, without end.
    services_.loop.change(listen_watch_, 0);
    accept_again_ = services_.loop.after(accept_pause,
                                         [this] { services_.loop.change(listen_watch_, POLLIN); });
    return;
  }
  if (!*transport)
    return;
  const auto peer = std::get<ipc::UnixPeer>((*transport)->peer());
  if (const std::string reason = no_room(peer); !reason.empty())
    return log_of(peer)->write(
        log::Level::warning, fmt::format("a connection of uid {} is closed: {}", peer.uid, reason),
        EventLoop::Clock::now());
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
  std::shared_ptr<PeerLog> log = log_of(transport->peer());
  sessions_[id] = std::make_unique<Session>(services_, std::move(transport), std::move(peer),
                                            std::move(log), [this, id] { sessions_.erase(id); });
}

std::shared_ptr<PeerLog> Sessions::log_of(const ipc::TransportPeer& peer) {
  const auto now = EventLoop::Clock::now();
  std::erase_if(logs_, [now](const auto& entry) {
    return entry.second.use_count() == 1 && entry.second->idle(now);
  });
  const auto* domain = std::get_if<ipc::VchanPeer>(&peer);
  const std::string name = domain ? fmt::format("domain {}", domain->domid)
                                  : fmt::format("uid {}", std::get<ipc::UnixPeer>(peer).uid);
  std::shared_ptr<PeerLog>& log = logs_[name];
  if (!log)
    log = std::make_shared<PeerLog>(name, now);
  return log;
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
    if (!wanted.contains(domid)) {
      forget_requests(services_.store, domid);
      unread_.erase(domid);
    }
  for (const std::uint32_t domid : wanted) {
    if (watched_.contains(domid))
      continue;
    remove_rings(services_.store, domid); // nobody is connected yet: they are a predecessor's
    if (const Status watching = services_.store.watch(requests_path(domid)); !watching)
      log::error("domain {} will not be able to connect: {}", domid, watching.error().message());
    else
      unread_.insert(domid);
  }
  watched_ = std::move(wanted);
}

void Sessions::store_changed(const std::string& path) {
  const std::optional<Asked> asked = asked_at(path);
  if (!asked || !watched_.contains(asked->domid))
    return;
  if (!asked->token.empty())
    return answer_request(asked->domid, std::string(asked->token));
  // A watch begins with an event of its own, and then the requests that are there are read. Later
  // each tells its name: a domain that writes without end costs one look a time, whatever else it
  // keeps there.
  if (unread_.erase(asked->domid) == 0)
    return;
  const Result<std::vector<std::string>> tokens = services_.store.list(requests_path(asked->domid));
  if (!tokens)
    return; // none now
  for (const std::string& token : *tokens)
    if (ipc::valid_vchan_token(token))
      answer_request(asked->domid, token);
}

void Sessions::answer_request(std::uint32_t domid, const std::string& token) {
  const Result<std::string> state = services_.store.read(requests_path(domid) + "/" + token);
  if (!state)
    return;
  if (const auto rings = ipc::wanted_rings(*state, builder_domid))
    open_vchan(domid, token, *rings);
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
    log_of(ipc::VchanPeer{domid})
        ->write(log::Level::warning,
                fmt::format("a vchan for domain {} is refused: {}", domid, reason),
                EventLoop::Clock::now());
  const std::string answer = reason.empty() ? "ready" : "refused: " + reason;
  if (const Status told = services_.store.write(requests_path(domid) + "/" + token, answer); !told)
    log::warning("answering domain {}: {}", domid, told.error().message());
}

} // namespace ashlar::broker
