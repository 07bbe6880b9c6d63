// SPDX-License-Identifier: LGPL-2.1-or-later
// The builder's end of the connection to the TPM Manager. Never blocks; for an event loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/frame.hpp"
#include "ashlar/ipc/transport.hpp"
#include "ashlar/measure/record.hpp"
#include "ashlar/tpm/limits.hpp"
#include "ashlar/tpm/message.hpp"

namespace ashlar::tpm {

/// Where the manager in a domain serves the builder by vchan.
[[nodiscard]] std::string manager_vchan_path(std::uint32_t manager_domid);

/// Sends records and revocations, in the order in which they were given, and keeps each until the
/// manager answered it: over a lost connection and a restarted manager alike. What the manager had
/// done before it was lost it acknowledges again (serials).
class ManagerLink {
public:
  using Clock = std::chrono::steady_clock;
  /// Opens a connection without blocking; its peer must be the manager by the transport's word.
  using Connector = std::function<Result<std::unique_ptr<ipc::Transport>>()>;
  using Done = std::function<void(Result<Ack>)>;
  using IdentityDone = std::function<void(Result<HostIdentity>)>;

  struct Options {
    std::chrono::milliseconds answer_time = default_answer_time; // from the first try to send
    std::chrono::milliseconds retry_pause = default_retry_pause; // between tries to connect
  };

  ManagerLink(Connector connect, Options options)
      : connect_(std::move(connect)), options_(options) {}

  /// Asks for a record to be extended. `done` is called once, from a later turn(): with the
  /// acknowledgement, or with an error (see Refused; timeout: nobody knows whether it was extended,
  /// so revoke it). The guest may run only after the acknowledgement. Errors: limit, busy.
  [[nodiscard]] Status put(const measure::Record& record, Done done);

  /// Asks for a vTPM to be served with a guest's measurement; both records are acknowledged. As
  /// put(). Errors: busy.
  [[nodiscard]] Status bind(const Binding& binding, Done done);

  /// Asks for a record to be revoked. As put(), but silence is no reason to give up: after
  /// `timeout` was told to `done` it is still sent until the manager answers. Errors: busy.
  [[nodiscard]] Status revoke(std::uint64_t serial, Done done);

  /// Asks what the PCR holds. As put(). Errors: busy.
  [[nodiscard]] Status query(Done done);

  /// Asks which TPM it is, and what it measured. As put(). Errors: busy.
  [[nodiscard]] Status identify(IdentityDone done);

  /// Connects, sends, receives, and calls back what is answered or overdue. To be called after a
  /// request, when descriptor() is ready, and at deadline(). Callbacks may make new requests.
  void turn(Clock::time_point now);

  /// For poll(2); -1 while there is no connection.
  [[nodiscard]] int descriptor() const;
  [[nodiscard]] short events() const;
  /// When turn() is to be called at the latest; nothing: not before something happens.
  [[nodiscard]] std::optional<Clock::time_point> deadline() const;

  /// Has the manager answered on the present connection?
  [[nodiscard]] bool connected() const { return connection_ && connection_->greeted; }
  /// Requests without an answer.
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  /// Why there is no connection, for the log; empty at first.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

private:
  using AnyDone = std::variant<Done, IdentityDone>; // each may be empty
  struct Waiting {
    std::vector<std::byte> message;
    AnyDone done;                                        // empty: an overdue revocation
    bool keep = false;                                   // a revocation
    bool sent = false;                                   // on the present connection
    std::optional<Clock::time_point> due = std::nullopt; // set by the first turn that sees it
  };
  struct Connection {
    explicit Connection(std::unique_ptr<ipc::Transport> opened)
        : transport(std::move(opened)), stream(*transport) {}
    std::unique_ptr<ipc::Transport> transport;
    ipc::FrameStream stream;
    std::optional<Clock::time_point> greeting_due;
    bool greeted = false;
  };
  using Answer = std::pair<AnyDone, Result<decltype(Reply::body)>>;

  [[nodiscard]] Status enqueue(Request request, bool keep, AnyDone done);
  static void tell(Answer answer);
  void set_deadlines(Clock::time_point now);
  void connect(Clock::time_point now);
  void disconnect(const Error& why, Clock::time_point now);
  [[nodiscard]] Status exchange(std::vector<Answer>& answers);
  [[nodiscard]] Status send_waiting();
  [[nodiscard]] Status take(const Reply& reply, std::vector<Answer>& answers);
  void expire(Clock::time_point now, std::vector<Answer>& answers);

  Connector connect_;
  Options options_;
  std::unique_ptr<Connection> connection_;
  std::map<std::uint64_t, Waiting> waiting_; // by request id, so in order
  std::uint64_t last_id_ = 0;
  Clock::time_point next_try_{};
  std::string trouble_;
};

} // namespace ashlar::tpm
