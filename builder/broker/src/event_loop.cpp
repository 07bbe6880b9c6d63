// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/event_loop.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace ashlar::broker {

namespace {
constexpr std::chrono::milliseconds longest_wait{60'000};
}

EventLoop::Id EventLoop::watch(int fd, short events, std::function<void(short)> ready) {
  const Id id = next_id_++;
  watches_.emplace(id, Watch{fd, events, std::move(ready)});
  return id;
}

void EventLoop::change(Id id, short events) {
  if (const auto found = watches_.find(id); found != watches_.end())
    found->second.events = events;
}

EventLoop::Id EventLoop::after(std::chrono::milliseconds delay, std::function<void()> due) {
  const Id id = next_id_++;
  timers_.emplace(id, Timer{Clock::now() + delay, std::move(due)});
  return id;
}

void EventLoop::forget(Id id) {
  watches_.erase(id);
  timers_.erase(id);
}

Result<int> EventLoop::run() {
  while (!stop_status_)
    TRY(turn(longest_wait));
  return *stop_status_;
}

int EventLoop::poll_timeout(std::chrono::milliseconds limit) const {
  auto wait = limit;
  const auto now = Clock::now();
  for (const auto& [id, timer] : timers_)
    wait = std::min(wait, std::chrono::ceil<std::chrono::milliseconds>(timer.due - now));
  return static_cast<int>(std::max<std::int64_t>(wait.count(), 0));
}

Status EventLoop::turn(std::chrono::milliseconds limit) {
  std::vector<pollfd> descriptors;
  std::vector<Id> ids;
  for (const auto& [id, watch] : watches_) {
    descriptors.push_back({.fd = watch.fd, .events = watch.events, .revents = 0});
    ids.push_back(id);
  }
  if (poll(descriptors.data(), descriptors.size(), poll_timeout(limit)) < 0 && errno != EINTR)
    return errno_failure("waiting for events");
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (descriptors[i].revents == 0)
      continue;
    // Looked up anew: an earlier callback of this round may have removed it.
    const auto found = watches_.find(ids[i]);
    if (found == watches_.end())
      continue;
    const auto ready = found->second.ready; // a copy: the callback may forget() itself
    ready(descriptors[i].revents);
  }
  call_due_timers();
  return {};
}

void EventLoop::call_due_timers() {
  const auto now = Clock::now();
  std::vector<Id> due;
  for (const auto& [id, timer] : timers_)
    if (timer.due <= now)
      due.push_back(id);
  for (const Id id : due) {
    auto node = timers_.extract(id);
    if (!node.empty())
      node.mapped().call();
  }
}

} // namespace ashlar::broker
