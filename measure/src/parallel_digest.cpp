// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/measure/parallel_digest.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace ashlar::measure {

namespace {

// Large enough that taking a piece costs nothing beside hashing it; small enough that the banks end
// together.
constexpr std::size_t piece_bytes = 128 * 1024;
// A third could only take a bank of its own, and the longest alone takes nearly half of the whole.
constexpr unsigned max_threads = 2;

// How far the hashing may be behind: who fills the range is held back a little with each piece, and
// not for the whole of it at the end.
constexpr std::size_t max_lag_bytes = 4u << 20;

struct Lane {
  BankStream stream;
  std::size_t done = 0; // bytes
  bool taken = false;   // by a thread
  Status outcome;       // the first failure
};

} // namespace

class ParallelDigest::Work {
public:
  Work(std::span<const std::byte> bytes, std::vector<Lane> lanes)
      : bytes_(bytes), lanes_(std::move(lanes)) {}
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  ~Work() {
    {
      const std::scoped_lock lock(mutex_);
      given_up_ = true;
    }
    news_.notify_all();
    join();
  }

  Status start() {
    const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
    // std::thread tells by an exception that the system has no room for one more: it ends here.
    try {
      for (unsigned i = 0; i < std::min(cores, max_threads); ++i)
        threads_.emplace_back([this] { run(); });
    } catch (const std::system_error& error) {
      if (threads_.empty())
        return failure(ErrorCode::limit, "starting a thread that hashes",
                       "the system has no room for it: see the limits on tasks and memory",
                       error.code().value());
    }
    return {};
  }

  void available(std::size_t count) {
    std::unique_lock lock(mutex_);
    available_ = std::clamp(count, available_, bytes_.size());
    news_.notify_all();
    progress_.wait(lock, [this] { return caught_up(); });
  }

  Result<Digests> finish() {
    {
      const std::scoped_lock lock(mutex_);
      complete_ = true;
    }
    news_.notify_all();
    join();
    Digests digests;
    for (Lane& lane : lanes_) {
      TRY(lane.outcome);
      TRY(lane.stream.finish(digests));
    }
    return digests;
  }

private:
  void join() {
    for (std::thread& thread : threads_)
      thread.join();
    threads_.clear();
  }

  /// The lane that is furthest behind of those that are free and have bytes to take. Called with
  /// the lock held.
  Lane* next() {
    Lane* furthest = nullptr;
    for (Lane& lane : lanes_)
      if (!lane.taken && lane.done < available_ && (!furthest || lane.done < furthest->done))
        furthest = &lane;
    return furthest;
  }

  bool caught_up() const {
    return std::ranges::all_of(
        lanes_, [this](const Lane& lane) { return available_ - lane.done <= max_lag_bytes; });
  }

  bool ended() const {
    return given_up_ || (complete_ && std::ranges::all_of(lanes_, [this](const Lane& lane) {
                           return lane.taken || lane.done == available_;
                         }));
  }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      Lane* lane = nullptr;
      news_.wait(lock, [&] { return given_up_ || (lane = next()) != nullptr || ended(); });
      if (given_up_ || !lane)
        return;
      lane->taken = true;
      const auto piece = bytes_.subspan(lane->done, std::min(piece_bytes, available_ - lane->done));
      lock.unlock();
      Status hashed = lane->stream.update(piece);
      lock.lock();
      if (!hashed && lane->outcome)
        lane->outcome = std::move(hashed);
      lane->done += piece.size();
      lane->taken = false;
      // Not with each piece: who is woken in vain takes a core from those that hash.
      if (caught_up())
        progress_.notify_one();
    }
  }

  std::span<const std::byte> bytes_;
  std::vector<Lane> lanes_;
  std::mutex mutex_;
  std::condition_variable news_;     // for the threads
  std::condition_variable progress_; // for the one who fills the range
  std::size_t available_ = 0;
  bool complete_ = false; // no more will become available
  bool given_up_ = false;
  std::vector<std::thread> threads_;
};

ParallelDigest::ParallelDigest(std::unique_ptr<Work> work) : work_(std::move(work)) {}
ParallelDigest::ParallelDigest(ParallelDigest&&) noexcept = default;
ParallelDigest& ParallelDigest::operator=(ParallelDigest&&) noexcept = default;
ParallelDigest::~ParallelDigest() = default;

Result<ParallelDigest> ParallelDigest::begin(std::span<const std::byte> bytes) {
  std::vector<Lane> lanes;
  for (const Bank bank : all_banks)
    lanes.push_back({TRY(BankStream::create(bank)), 0, false, {}});
  auto work = std::make_unique<Work>(bytes, std::move(lanes));
  TRY(work->start());
  return ParallelDigest(std::move(work));
}

void ParallelDigest::available(std::size_t count) {
  work_->available(count);
}

Result<Digests> ParallelDigest::finish() {
  return work_->finish();
}

} // namespace ashlar::measure
