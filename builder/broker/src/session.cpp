// SPDX-License-Identifier: LGPL-2.1-or-later
// A session's connection: frames in, frames out, and time.
#include "ashlar/broker/session.hpp"

#include <poll.h>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/broker/limits.hpp"

namespace ashlar::broker {

namespace {

constexpr std::chrono::seconds time_check_period{5};

std::string describe(const ipc::TransportPeer& peer) {
  if (const auto* domain = std::get_if<ipc::VchanPeer>(&peer))
    return fmt::format("domain {}", domain->domid);
  const auto& process = std::get<ipc::UnixPeer>(peer);
  return fmt::format("uid {} (pid {})", process.uid, process.pid);
}

} // namespace

Session::Session(Services& services, std::unique_ptr<ipc::Transport> transport, policy::Peer peer,
                 std::shared_ptr<PeerLog> peer_log, Closed closed)
    : services_(services), transport_(std::move(transport)), transport_peer_(transport_->peer()),
      peer_(std::move(peer)), frames_(*transport_), log_(std::move(peer_log)),
      closed_(std::move(closed)), name_(describe(transport_peer_)),
      opened_(EventLoop::Clock::now()), last_room_(opened_) {
  watch_ = services_.loop.watch(transport_->descriptor(), POLLIN, [this](short) { ready(); });
  // A first look without an event: the peer may have sent before the watch was there.
  again_ = services_.loop.after(std::chrono::milliseconds(0), [this] { handle_frames(); });
  timer_ = services_.loop.after(time_check_period, [this] { check_time(); });
}

Session::~Session() {
  for (const EventLoop::Id id : {watch_, again_, timer_})
    services_.loop.forget(id);
  // Nobody is left to be told how they end; what a client began, its end gives up.
  for (const auto& [id, build] : builds_)
    give_up(build, "its requester's connection has ended");
}

void Session::ready() {
  transport_->acknowledge();
  handle_frames();
}

void Session::handle_frames() {
  if (closing_)
    return;
  if (const Status flushed = frames_.flush(); !flushed)
    return close(flushed.error().message());
  poll_for_room();
  hold_consoles();
  for (std::size_t i = 0; i < frames_per_turn; ++i) {
    const Result<std::optional<ipc::Frame>> frame = frames_.receive();
    if (!frame) {
      // A peer that just hangs up is no fault; whatever else it did is told before the end.
      if (frame.error().code == ErrorCode::peer_closed)
        return close("");
      send(failure_reply(0, frame.error()));
      return close(frame.error().message());
    }
    if (!*frame)
      return;
    if (const Status handled = handle(**frame); !handled) {
      send(failure_reply(0, handled.error()));
      return close(handled.error().message());
    }
    if (closing_)
      return;
  }
  // Others get their turn first; a transport that signals only news would not wake us again.
  services_.loop.forget(again_);
  again_ = services_.loop.after(std::chrono::milliseconds(0), [this] { handle_frames(); });
}

Status Session::handle(const ipc::Frame& frame) {
  if (frame.kind == ipc::FrameKind::data) {
    if (!upload_)
      return failure(ErrorCode::invalid, "reading a data frame",
                     "no upload is under way on this connection: send upload_begin first");
    upload_data(frame.payload);
    return {};
  }
  const ipc::Request request = TRY(ipc::decode_request(frame.payload));
  if (request.id == 0)
    return failure(ErrorCode::invalid, "reading a request", "its id is 0: choose another number");
  if (!greeted_ && request.which_verb != ashlar_v1_Request_hello_tag)
    return failure(ErrorCode::invalid, "reading the first request",
                   "it is not hello: say hello with your protocol version first");
  return dispatch(request);
}

void Session::send(const ipc::Response& response) {
  if (closing_)
    return;
  const Result<std::vector<std::byte>> bytes = ipc::encode(response);
  if (!bytes)
    return close(bytes.error().message());
  if (const Status sent = frames_.send(ipc::FrameKind::control, *bytes); !sent)
    return close(sent.error().message());
  poll_for_room();
}

void Session::poll_for_room() {
  const bool waits = transport_->polls_for_room() && frames_.queued_bytes() > 0;
  services_.loop.change(watch_, waits ? short{POLLIN | POLLOUT} : short{POLLIN});
}

void Session::close(const std::string& why) {
  if (closing_)
    return;
  closing_ = true;
  if (!why.empty())
    note("the connection ends: {}", why);
  services_.loop.forget(watch_);
  services_.loop.forget(again_);
  services_.loop.forget(timer_);
  // From the event loop, not from here: our caller still uses this object.
  again_ = services_.loop.after(std::chrono::milliseconds(0), [this] {
    const Closed closed = closed_;
    closed();
  });
}

void Session::note_text(const std::string& text) {
  log_->write(log::Level::notice, fmt::format("{}: {}", name_, text), EventLoop::Clock::now());
}

void Session::check_time() {
  timer_ = services_.loop.after(time_check_period, [this] { check_time(); });
  const auto now = EventLoop::Clock::now();
  if (!greeted_ && now - opened_ > hello_time)
    return close(fmt::format("no hello within {} s", hello_time.count()));
  const std::size_t queued = frames_.queued_bytes();
  if (queued == 0 || queued < last_queued_)
    last_room_ = now;
  last_queued_ = queued;
  if (now - last_room_ > stuck_peer_time)
    return close(
        fmt::format("it took nothing of what waits for it for {} s", stuck_peer_time.count()));
  if (upload_ && upload_->intake && now - upload_->last_byte > stalled_upload_time) {
    const Error stalled{
        ErrorCode::timeout, "receiving " + upload_->announced.label,
        fmt::format("no byte came for {} s: the upload is given up", stalled_upload_time.count()),
        0};
    send(failure_reply(upload_->id, stalled));
    close(stalled.message());
  }
}

} // namespace ashlar::broker
