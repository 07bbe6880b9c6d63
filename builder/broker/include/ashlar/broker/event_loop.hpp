// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "ashlar/base/result.hpp"

namespace ashlar::broker {

/// The broker's one thread: waits for descriptors and deadlines and calls back. A callback may add
/// and remove any watch or timer, its own included.
class EventLoop {
public:
  using Id = std::uint64_t; // never 0, never used twice
  using Clock = std::chrono::steady_clock;

  /// Calls `ready(revents)` when poll(2) reports any of `events` (or an error) on `fd`. The caller
  /// keeps the descriptor open until forget().
  [[nodiscard]] Id watch(int fd, short events, std::function<void(short)> ready);
  /// Changes the events of a watch; 0 waits for errors only.
  void change(Id id, short events);
  /// Calls `due` once, not before `delay` has passed.
  [[nodiscard]] Id after(std::chrono::milliseconds delay, std::function<void()> due);
  /// Removes a watch or timer; an id that is gone already is fine.
  void forget(Id id);

  /// Runs until stop(), and returns its status. Errors: io (poll itself failed).
  [[nodiscard]] Result<int> run();
  void stop(int status) { stop_status_ = status; }
  [[nodiscard]] bool stopping() const { return stop_status_.has_value(); }
  /// One round: waits at most `limit`, then calls back whatever is ready. For tests and for run().
  [[nodiscard]] Status turn(std::chrono::milliseconds limit);

private:
  struct Watch {
    int fd = -1;
    short events = 0;
    std::function<void(short)> ready;
  };
  struct Timer {
    Clock::time_point due;
    std::function<void()> call;
  };
  [[nodiscard]] int poll_timeout(std::chrono::milliseconds limit) const;
  void call_due_timers();

  Id next_id_ = 1;
  std::map<Id, Watch> watches_;
  std::map<Id, Timer> timers_;
  std::optional<int> stop_status_;
};

} // namespace ashlar::broker
