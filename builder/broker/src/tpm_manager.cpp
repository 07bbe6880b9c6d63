// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/tpm_manager.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>

#include "ashlar/base/log.hpp"
#include "ashlar/ipc/vchan.hpp"

namespace ashlar::broker {

namespace {

template <typename Value>
void answer(const std::function<void(Result<Value>)>& done,
            std::type_identity_t<Result<Value>> result) {
  if (done)
    done(std::move(result));
}

class NoTpmManager final : public TpmManager {
public:
  bool present() const override { return false; }
  void runs_in(std::uint32_t) override {}
  void put(const measure::Record&, Done done) override { answer(done, tpm::Ack{}); }
  void revoke(std::uint64_t, Done done) override { answer(done, tpm::Ack{}); }
  void bind(const tpm::Binding&, Done done) override { answer(done, refused()); }
  void query(Done done) override { answer(done, refused()); }
  void identify(IdentityDone done) override { answer(done, refused()); }

private:
  static std::unexpected<Error> refused() {
    return failure(ErrorCode::unsupported, "asking the TPM Manager",
                   "this builder has none: no domain of its boot manifest has tpm_manager = true");
  }
};

/// Drives a ManagerLink by the event loop.
class LinkedTpmManager final : public TpmManager {
public:
  explicit LinkedTpmManager(EventLoop& loop)
      : loop_(loop), link_([this] { return connect(); }, {}) {}
  ~LinkedTpmManager() override {
    loop_.forget(watch_);
    loop_.forget(timer_);
  }

  bool present() const override { return true; }
  void runs_in(std::uint32_t domid) override {
    domid_ = domid;
    turn_soon();
  }
  void put(const measure::Record& record, Done done) override {
    requested(link_.put(record, done), done);
  }
  void bind(const tpm::Binding& binding, Done done) override {
    requested(link_.bind(binding, done), done);
  }
  void revoke(std::uint64_t serial, Done done) override {
    requested(link_.revoke(serial, done), done);
  }
  void query(Done done) override { requested(link_.query(done), done); }
  void identify(IdentityDone done) override { requested(link_.identify(done), done); }

private:
  Result<std::unique_ptr<ipc::Transport>> connect() {
    if (!domid_)
      return failure(ErrorCode::not_found, "connecting to the TPM Manager",
                     "its domain has not been started yet");
    return ipc::join_vchan(*domid_, tpm::manager_vchan_path(*domid_));
  }

  template <typename Value>
  void requested(const Status& queued, const std::function<void(Result<Value>)>& done) {
    if (!queued)
      return answer(done, std::unexpected(queued.error()));
    turn_soon();
  }

  // Never from within a request: the link's own callbacks make requests.
  void turn_soon() { wake_after(std::chrono::milliseconds(0)); }

  void wake_after(std::chrono::milliseconds delay) {
    loop_.forget(timer_);
    timer_ = loop_.after(delay, [this] { turn(); });
  }

  void turn() {
    const bool was_connected = link_.connected();
    // The transport may go in this turn, and its descriptor with it.
    loop_.forget(watch_);
    link_.turn(EventLoop::Clock::now());
    if (link_.descriptor() >= 0)
      watch_ = loop_.watch(link_.descriptor(), link_.events(), [this](short) { turn(); });
    if (link_.connected() != was_connected)
      log::notice("TPM Manager: {}", was_connected ? link_.trouble() : "connected");
    loop_.forget(timer_);
    if (const auto deadline = link_.deadline())
      wake_after(std::max(
          std::chrono::ceil<std::chrono::milliseconds>(*deadline - EventLoop::Clock::now()),
          std::chrono::milliseconds(0)));
  }

  EventLoop& loop_;
  std::optional<std::uint32_t> domid_;
  EventLoop::Id watch_ = 0;
  EventLoop::Id timer_ = 0;
  tpm::ManagerLink link_;
};

} // namespace

std::unique_ptr<TpmManager> no_tpm_manager() {
  return std::make_unique<NoTpmManager>();
}

std::unique_ptr<TpmManager> linked_tpm_manager(EventLoop& loop) {
  return std::make_unique<LinkedTpmManager>(loop);
}

} // namespace ashlar::broker
