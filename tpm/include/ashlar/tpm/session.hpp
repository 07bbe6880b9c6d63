// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/frame.hpp"
#include "ashlar/ipc/transport.hpp"
#include "ashlar/tpm/evidence_service.hpp"
#include "ashlar/tpm/manager.hpp"

namespace ashlar::tpm {

/// Is this the builder? By vchan the domain that the hypervisor vouches for must be
/// `builder_domid`; on a Unix socket (one domain, tests) the kernel must tell root, or the
/// manager's own user.
[[nodiscard]] bool from_builder(const ipc::TransportPeer& peer, std::uint32_t builder_domid);

/// The builder's connection: reads requests and answers them in order. Whoever is at the other end
/// was let in by from_builder().
class Session {
public:
  using Clock = EvidenceService::Clock;
  /// Manager and evidence outlive the session; the clock is the tests'.
  Session(Manager& manager, EvidenceService& evidence, std::unique_ptr<ipc::Transport> transport,
          Clock clock = std::chrono::steady_clock::now)
      : manager_(manager), evidence_(evidence), transport_(std::move(transport)),
        stream_(*transport_), clock_(std::move(clock)) {}

  [[nodiscard]] const ipc::Transport& transport() const { return *transport_; }
  /// poll(2) events to wait for on the transport's descriptor.
  [[nodiscard]] short events() const;
  /// Requests may wait that no descriptor will tell of: call turn() again without waiting.
  [[nodiscard]] bool busy() const { return busy_; }

  /// To be called after a wake-up: handles at most frames_per_turn requests. Errors: peer_closed,
  /// invalid (the builder breaks the protocol), limit, io: close the connection. What was taken
  /// before holds.
  [[nodiscard]] Status turn();

  /// Manager::status(), asked of the TPM no more often than limits.hpp says.
  [[nodiscard]] Result<Ack> status();

private:
  struct Told {
    Result<Ack> answer;
    std::size_t log_events = 0; // when it was given
    Allowance::Time at;
  };

  [[nodiscard]] Reply answer(const Request& request);
  [[nodiscard]] Status handle(const ipc::Frame& frame);

  Manager& manager_;
  EvidenceService& evidence_;
  std::unique_ptr<ipc::Transport> transport_;
  ipc::FrameStream stream_;
  Clock clock_;
  std::optional<Told> told_;
  bool greeted_ = false;
  bool busy_ = false;
};

} // namespace ashlar::tpm
