// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "ashlar/broker/admission.hpp"
#include "ashlar/broker/console.hpp"
#include "ashlar/broker/peer_log.hpp"
#include "ashlar/broker/replies.hpp"
#include "ashlar/broker/services.hpp"
#include "ashlar/broker/upload.hpp"
#include "ashlar/ipc/frame.hpp"
#include "ashlar/ipc/transport.hpp"

namespace ashlar::broker {

/// The one upload of a connection. Not inside Session: Clang would not take it for default
/// constructible there.
struct SessionUpload {
  std::uint32_t id = 0;
  std::string requester;
  UsedImage announced;
  std::optional<ImageIntake> intake; // none: it has failed; its bytes are dropped until its end
  std::optional<Reservation> room;
  EventLoop::Clock::time_point last_byte;
  std::uint64_t reported = 0; // bytes at the last progress message
};

/// One connection: reads requests, asks the policy, carries them out, answers. Never blocks, and
/// gives up on a peer that breaks the protocol, is stuck or silent in the middle of something.
class Session {
public:
  using Closed = std::function<void()>;

  /// `peer` is who the transport vouches for, `peer_log` that of all of its sessions. `closed` is
  /// called once, from the event loop, when the session has ended; its owner then destroys it.
  Session(Services& services, std::unique_ptr<ipc::Transport> transport, policy::Peer peer,
          std::shared_ptr<PeerLog> peer_log, Closed closed);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  [[nodiscard]] const ipc::TransportPeer& transport_peer() const { return transport_peer_; }

  /// Handles nothing more and has `closed` called from the event loop. Safe at any time, also from
  /// within a request of this very session (a domain that asks for its own end).
  /// `why` is for the log; empty: the peer hung up, which is nothing to note.
  void close(const std::string& why);

private:
  struct BuildUnderWay {
    Builds::Id build = 0;
    std::string name; // of the guest
  };

  // Reading and writing (session.cpp).
  void ready();
  void handle_frames();
  [[nodiscard]] Status handle(const ipc::Frame& frame);
  void send(const ipc::Response& response);
  void poll_for_room();
  void check_time();
  /// Logs what the peer did or asked for, behind its name.
  template <typename... Parts>
  void note(fmt::format_string<Parts...> format, Parts&&... parts) {
    note_text(fmt::format(format, std::forward<Parts>(parts)...));
  }
  void note_text(const std::string& text);

  // Requests (session_requests.cpp).
  [[nodiscard]] Status dispatch(const ipc::Request& request);
  void hello(std::uint32_t id, const ashlar_v1_Hello& hello);
  void list(std::uint32_t id);
  void info(std::uint32_t id, const ashlar_v1_DomainRef& reference);
  void measurement(std::uint32_t id, const ashlar_v1_DomainRef& reference);
  void act(std::uint32_t id, policy::Verb verb, const ashlar_v1_DomainRef& reference);
  void images(std::uint32_t id);
  void show_policy(std::uint32_t id);
  void reload_policy(std::uint32_t id);
  void host(std::uint32_t id, bool keys);
  void host_keys(std::uint32_t id);
  void cancel(std::uint32_t id, std::uint32_t target);
  /// Answers a refusal itself; gives nothing then.
  [[nodiscard]] std::optional<policy::Decision> allowed(std::uint32_t id, policy::Verb verb);
  /// Policy and visibility for a verb about one domain; answers itself when it gives nothing.
  [[nodiscard]] const Domain* allowed_domain(std::uint32_t id, policy::Verb verb,
                                             const ashlar_v1_DomainRef& reference);
  void finish(std::uint32_t id, const Status& outcome);

  // Builds and images (session_builds.cpp).
  void create(std::uint32_t id, const ashlar_v1_Create& create);
  [[nodiscard]] Status submit(std::uint32_t id, const GuestRequest& request,
                              const std::shared_ptr<const policy::Policy>& policy,
                              const policy::Decision& decision);
  /// A dry run: as submit(), up to the decision.
  [[nodiscard]] Status answer_only(std::uint32_t id, const GuestRequest& request,
                                   const std::shared_ptr<const policy::Policy>& policy,
                                   const policy::Decision& decision);
  [[nodiscard]] Status check_builds_under_way() const;
  /// Cancels it, and logs why no guest comes of it.
  void give_up(const BuildUnderWay& build, const char* why);
  /// Tells the client which images to upload before it asks again.
  void ask_for(std::uint32_t id, const std::vector<std::uint32_t>& missing);
  void refuse(std::uint32_t id, const std::string& guest, const policy::Decision& decision);
  /// Points images at what the builder holds for `requester`; gives the positions it does not hold.
  [[nodiscard]] std::vector<std::uint32_t> resolve(GuestRequest& request,
                                                   const std::string& requester);
  void upload_begin(std::uint32_t id, const ashlar_v1_UploadBegin& begin);
  void upload_data(std::span<const std::byte> bytes);
  void upload_end(std::uint32_t id);

  // Consoles (session_consoles.cpp).
  void console_open(std::uint32_t id, const ashlar_v1_ConsoleOpen& open);
  void console_input(std::uint32_t id, const ashlar_v1_ConsoleInput& input);
  void console_output(std::uint32_t id, std::span<const std::byte> bytes);
  void follow(std::uint32_t id, const Domain& domain);
  void hold_consoles();

  Services& services_;
  std::unique_ptr<ipc::Transport> transport_;
  ipc::TransportPeer transport_peer_;
  policy::Peer peer_;
  ipc::FrameStream frames_;
  std::shared_ptr<PeerLog> log_;
  Closed closed_;
  std::string name_; // for the log: "domain 3" or "uid 0 (pid 7)"
  bool greeted_ = false;
  bool closing_ = false;
  EventLoop::Id watch_ = 0;
  EventLoop::Id again_ = 0; // more frames may be waiting: the next turn goes on
  EventLoop::Id timer_ = 0; // check_time()
  EventLoop::Clock::time_point opened_;
  EventLoop::Clock::time_point last_room_; // when the peer last took something, or nothing waited
  std::size_t last_queued_ = 0;
  std::optional<SessionUpload> upload_;
  std::map<std::uint32_t, BuildUnderWay> builds_;              // by request id
  std::map<std::uint32_t, std::unique_ptr<Console>> consoles_; // by request id
  bool host_asked_ = false;
  /// Answers of the TPM Manager may come when this is gone.
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

} // namespace ashlar::broker
