// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/session.hpp"

#include <poll.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/tpm/limits.hpp"

namespace ashlar::tpm {

namespace {

using Answer = Result<decltype(Reply::body)>;

struct Perform {
  Session& session;
  Manager& manager;
  EvidenceService& evidence;

  Answer operator()(const Hello&) const { return manager.log_status(); }
  Answer operator()(const PutRecord& put) const { return manager.put(put.record); }
  Answer operator()(const Revoke& revoke) const { return manager.revoke(revoke.serial); }
  Answer operator()(const Bind& bind) const { return manager.bind(bind.binding); }
  Answer operator()(const StatusQuery&) const { return session.status(); }
  Answer operator()(const IdentityQuery&) const { return evidence.identity(); }
};

} // namespace

bool from_builder(const ipc::TransportPeer& peer, std::uint32_t builder_domid) {
  if (const auto* domain = std::get_if<ipc::VchanPeer>(&peer))
    return domain->domid == builder_domid;
  const auto& process = std::get<ipc::UnixPeer>(peer);
  return process.uid == 0 || process.uid == geteuid();
}

short Session::events() const {
  const bool room_wanted = transport_->polls_for_room() && stream_.queued_bytes() > 0;
  return static_cast<short>(POLLIN | (room_wanted ? POLLOUT : 0));
}

Status Session::turn() {
  transport_->acknowledge();
  TRY(stream_.flush());
  busy_ = false;
  for (std::size_t handled = 0; handled < frames_per_turn; ++handled) {
    const std::optional<ipc::Frame> frame = TRY(stream_.receive());
    if (!frame)
      return {};
    TRY(handle(*frame));
  }
  busy_ = true;
  return {};
}

Status Session::handle(const ipc::Frame& frame) {
  if (frame.kind != ipc::FrameKind::control)
    return failure(ErrorCode::invalid, "reading a request to the TPM Manager",
                   "it came as a data frame");
  const Request request = TRY(decode_request(frame.payload));
  const bool hello = std::holds_alternative<Hello>(request.body);
  if (hello == greeted_)
    return failure(ErrorCode::invalid, "reading a request to the TPM Manager",
                   "a connection begins with one Hello, and no other follows");
  return stream_.send(ipc::FrameKind::control, encode(answer(request)));
}

Result<Ack> Session::status() {
  if (told_) {
    const auto age = clock_() - told_->at;
    const bool holds =
        told_->answer.has_value()
            ? age < identity_kept && told_->log_events == manager_.ledger().log().size()
            : age < identity_retry_pause;
    if (holds)
      return told_->answer;
  }
  Result<Ack> answer = manager_.status(); // may add to the log
  told_ = Told{answer, manager_.ledger().log().size(), clock_()};
  return answer;
}

Reply Session::answer(const Request& request) {
  const auto* hello = std::get_if<Hello>(&request.body);
  if (hello && hello->version != link_version)
    return Reply{request.id,
                 Refused{RefusalCode::invalid,
                         fmt::format("the builder speaks version {}, this manager version {}: "
                                     "install them from one release",
                                     hello->version, link_version)}};
  greeted_ = true;
  const Answer result = std::visit(Perform{*this, manager_, evidence_}, request.body);
  if (result)
    return Reply{request.id, *result};
  log::warning("refused: {}", result.error().message());
  return Reply{request.id, refusal_of(result.error())};
}

} // namespace ashlar::tpm
