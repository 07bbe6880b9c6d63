// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/manager_link.hpp"

#include <poll.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace ashlar::tpm {

namespace {

constexpr std::uint64_t hello_id = 0; // requests have ids from 1
constexpr const char* doing = "asking the TPM Manager";

} // namespace

std::string manager_vchan_path(std::uint32_t manager_domid) {
  return fmt::format("/local/domain/{}/data/ashlar/tpm-manager", manager_domid);
}

Status ManagerLink::put(const measure::Record& record, Done done) {
  PutRecord body{TRY(measure::encode(record))};
  return enqueue(Request{0, std::move(body)}, false, std::move(done));
}

Status ManagerLink::bind(const Binding& binding, Done done) {
  return enqueue(Request{0, Bind{binding}}, false, std::move(done));
}

Status ManagerLink::revoke(std::uint64_t serial, Done done) {
  return enqueue(Request{0, Revoke{serial}}, true, std::move(done));
}

Status ManagerLink::query(Done done) {
  return enqueue(Request{0, StatusQuery{}}, false, std::move(done));
}

Status ManagerLink::identify(IdentityDone done) {
  return enqueue(Request{0, IdentityQuery{}}, false, std::move(done));
}

Status ManagerLink::enqueue(Request request, bool keep, AnyDone done) {
  if (waiting_.size() >= max_waiting_requests)
    return failure(ErrorCode::busy, doing,
                   fmt::format("{} requests wait for it already{}", waiting_.size(),
                               trouble_.empty() ? "" : "; " + trouble_));
  request.id = last_id_ + 1;
  std::vector<std::byte> message = TRY(encode(request));
  last_id_ = request.id;
  waiting_.emplace(request.id,
                   Waiting{.message = std::move(message), .done = std::move(done), .keep = keep});
  return {};
}

void ManagerLink::turn(Clock::time_point now) {
  std::vector<Answer> answers;
  set_deadlines(now);
  if (!connection_ && now >= next_try_)
    connect(now);
  if (connection_)
    if (const Status exchanged = exchange(answers); !exchanged)
      disconnect(exchanged.error(), now);
  expire(now, answers);
  // Last, when nothing here is half done: a callback may make a request.
  for (Answer& answer : answers)
    tell(std::move(answer));
}

// take() has seen to it that an answer is of the kind that was asked for.
void ManagerLink::tell(Answer answer) {
  auto& result = answer.second;
  std::visit(
      [&result]<typename Wanted>(std::function<void(Result<Wanted>)>& done) {
        if (!done)
          return;
        if (result)
          done(std::get<Wanted>(*std::move(result)));
        else
          done(std::unexpected(std::move(result).error()));
      },
      answer.first);
}

void ManagerLink::set_deadlines(Clock::time_point now) {
  for (auto& [id, waiting] : waiting_)
    if (!waiting.due)
      waiting.due = now + options_.answer_time;
}

void ManagerLink::connect(Clock::time_point now) {
  next_try_ = now + options_.retry_pause;
  Result<std::unique_ptr<ipc::Transport>> transport = connect_();
  if (!transport) {
    trouble_ = transport.error().message();
    return;
  }
  connection_ = std::make_unique<Connection>(std::move(*transport));
  connection_->greeting_due = now + options_.answer_time;
  const Result<std::vector<std::byte>> hello = encode(Request{hello_id, Hello{}});
  if (const Status sent = connection_->stream.send(ipc::FrameKind::control, *hello); !sent)
    disconnect(sent.error(), now);
}

void ManagerLink::disconnect(const Error& why, Clock::time_point now) {
  connection_.reset();
  trouble_ = why.message();
  next_try_ = now + options_.retry_pause;
  for (auto& [id, waiting] : waiting_)
    waiting.sent = false;
}

Status ManagerLink::exchange(std::vector<Answer>& answers) {
  connection_->transport->acknowledge();
  TRY(connection_->stream.flush());
  while (const std::optional<ipc::Frame> frame = TRY(connection_->stream.receive())) {
    if (frame->kind != ipc::FrameKind::control)
      return failure(ErrorCode::invalid, doing, "it answered with a data frame");
    const Reply reply = TRY(decode_reply(frame->payload));
    TRY(take(reply, answers));
  }
  return send_waiting();
}

Status ManagerLink::take(const Reply& reply, std::vector<Answer>& answers) {
  const auto* refused = std::get_if<Refused>(&reply.body);
  if (reply.id == hello_id) {
    if (refused)
      return std::unexpected(error_of(*refused, doing));
    connection_->greeted = true;
    connection_->greeting_due.reset();
    trouble_.clear();
    return {};
  }
  const auto found = waiting_.find(reply.id);
  if (found == waiting_.end())
    return {}; // overdue and given up: its requester was told
  if (!found->second.sent)
    return failure(ErrorCode::invalid, doing,
                   fmt::format("it answered request {}, which it has not got", reply.id));
  const bool identity = std::holds_alternative<IdentityDone>(found->second.done);
  if (!refused && std::holds_alternative<HostIdentity>(reply.body) != identity)
    return failure(ErrorCode::invalid, doing,
                   fmt::format("it answered request {} with what was not asked for", reply.id));
  if (refused)
    answers.emplace_back(std::move(found->second.done), std::unexpected(error_of(*refused, doing)));
  else
    answers.emplace_back(std::move(found->second.done), reply.body);
  waiting_.erase(found);
  return {};
}

Status ManagerLink::send_waiting() {
  if (!connection_->greeted)
    return {};
  for (auto& [id, waiting] : waiting_) {
    if (connection_->stream.queued_bytes() > link_queue_bytes)
      return {};
    if (waiting.sent)
      continue;
    TRY(connection_->stream.send(ipc::FrameKind::control, waiting.message));
    waiting.sent = true;
  }
  return {};
}

void ManagerLink::expire(Clock::time_point now, std::vector<Answer>& answers) {
  const bool silent = connection_ && connection_->greeting_due && *connection_->greeting_due <= now;
  bool overdue = silent;
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    const auto entry = next++;
    Waiting& waiting = entry->second;
    if (*waiting.due > now)
      continue;
    overdue = overdue || waiting.sent;
    answers.emplace_back(
        std::exchange(waiting.done, {}),
        failure(ErrorCode::timeout, doing,
                fmt::format("no answer within {} ms{}", options_.answer_time.count(),
                            trouble_.empty() ? "" : "; " + trouble_)));
    if (waiting.keep)
      waiting.due = now + options_.answer_time;
    else
      waiting_.erase(entry);
  }
  if (overdue && connection_)
    disconnect(Error{ErrorCode::timeout, doing, "it does not answer: connecting anew"}, now);
}

int ManagerLink::descriptor() const {
  return connection_ ? connection_->transport->descriptor() : -1;
}

short ManagerLink::events() const {
  if (!connection_)
    return 0;
  const bool room_wanted =
      connection_->transport->polls_for_room() && connection_->stream.queued_bytes() > 0;
  return static_cast<short>(POLLIN | (room_wanted ? POLLOUT : 0));
}

std::optional<ManagerLink::Clock::time_point> ManagerLink::deadline() const {
  std::optional<Clock::time_point> first;
  const auto consider = [&first](Clock::time_point time) {
    first = first ? std::min(*first, time) : time;
  };
  if (!connection_)
    consider(next_try_);
  else if (connection_->greeting_due)
    consider(*connection_->greeting_due);
  for (const auto& [id, waiting] : waiting_)
    consider(waiting.due.value_or(Clock::time_point{}));
  return first;
}

} // namespace ashlar::tpm
