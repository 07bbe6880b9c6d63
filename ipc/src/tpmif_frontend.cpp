// SPDX-License-Identifier: LGPL-2.1-or-later
#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/ipc/tpmif_page.hpp"
#include "tpmif_xen.hpp"

namespace ashlar::ipc {

namespace {

using Clock = std::chrono::steady_clock;

// Relative: below this domain's own /local/domain/N.
std::string path_of(TpmifDevice device) {
  return std::string("device/") + to_string(device) + "/0";
}

// The backend's state is read at these intervals, not watched: the agent is a static program, and
// Debian's static libxenstore has no reader thread, so that a watch's event that comes before the
// answer to a request is taken for the answer (its xs.c, read_reply(): EINVAL).
constexpr std::int64_t connect_poll_ms = 20;
constexpr std::int64_t state_poll_ms = 500;

std::unexpected<Error> missing(TpmifDevice device) {
  return failure(ErrorCode::not_found,
                 fmt::format("opening this domain's device {}", to_string(device)),
                 "xenstore has no " + path_of(device) + ": was this domain built to have one?");
}

class Frontend final : public TpmifFrontend {
public:
  Frontend(TpmifDevice device, DeviceStore store, EventChannels events, GrantShares shares,
           std::uint32_t backend_domid, std::string backend)
      : own_(path_of(device)), store_(std::move(store)), events_(std::move(events)),
        shares_(std::move(shares)), backend_domid_(backend_domid),
        backend_state_(std::move(backend) + "/state") {}
  Frontend(const Frontend&) = delete;
  Frontend& operator=(const Frontend&) = delete;
  ~Frontend() override {
    static_cast<void>(store_.write_state(own_ + "/state", XenbusState::closed));
    if (port_)
      xenevtchn_unbind(events_.get(), *port_);
    if (page_)
      xengntshr_unshare(shares_.get(), page_, 1);
  }

  [[nodiscard]] std::uint32_t backend_domid() const override { return backend_domid_; }

  /// Says that it is there, waits for the backend's offer, shares the page, waits to be connected.
  [[nodiscard]] Status connect(Clock::time_point deadline) {
    TRY(store_.write_state(own_ + "/state", XenbusState::initialising));
    TRY(await(XenbusState::init_wait, deadline));
    TRY(share());
    TRY(store_.write_state(own_ + "/state", XenbusState::initialised));
    TRY(await(XenbusState::connected, deadline));
    return store_.write_state(own_ + "/state", XenbusState::connected);
  }

  [[nodiscard]] Result<std::vector<std::byte>>
  exchange(std::span<const std::byte> packet, std::chrono::milliseconds timeout) override {
    const auto deadline = Clock::now() + timeout;
    TpmifPage page(page_);
    TRY(page.put(packet, TpmifState::submit));
    if (xenevtchn_notify(events_.get(), *port_) != 0)
      return errno_failure(doing(), "the event channel cannot be signalled");
    for (;;) {
      const TpmifState state = page.state();
      if (state == TpmifState::finish)
        return page.take();
      if (state == TpmifState::idle)
        return failure(ErrorCode::cancelled, doing(), "the backend dropped the request");
      TRY(wait(deadline, state_poll_ms));
      if (const XenbusState backend = store_.read_state(backend_state_);
          backend != XenbusState::connected)
        return failure(ErrorCode::peer_closed, doing(), "the backend has closed the device");
    }
  }

private:
  [[nodiscard]] std::string doing() const {
    return fmt::format("using {}, which domain {} serves", own_, backend_domid_);
  }

  [[nodiscard]] Status share() {
    std::uint32_t reference = 0;
    constexpr int writable = 1;
    page_ = xengntshr_share_pages(shares_.get(), backend_domid_, 1, &reference, writable);
    if (!page_)
      return errno_failure(doing(), "no page can be shared; is the module xen-gntalloc loaded?");
    const xenevtchn_port_or_error_t port =
        xenevtchn_bind_unbound_port(events_.get(), backend_domid_);
    if (port < 0)
      return errno_failure(doing(), "no event channel can be allocated");
    port_ = static_cast<evtchn_port_t>(port);
    TRY(store_.write(own_ + "/ring-ref", std::to_string(reference)));
    TRY(store_.write(own_ + "/event-channel", std::to_string(*port_)));
    return store_.write(own_ + "/feature-protocol-v2", "1");
  }

  [[nodiscard]] Status await(XenbusState wanted, Clock::time_point deadline) {
    while (store_.read_state(backend_state_) != wanted)
      TRY(wait(deadline, connect_poll_ms));
    return {};
  }

  /// Waits for the event channel, for poll_ms at most.
  /// Errors: timeout, io.
  [[nodiscard]] Status wait(Clock::time_point deadline, std::int64_t poll_ms) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0)
      return failure(ErrorCode::timeout, doing(),
                     fmt::format("no answer; its state is {}",
                                 static_cast<unsigned>(store_.read_state(backend_state_))));
    pollfd wait{xenevtchn_fd(events_.get()), POLLIN, 0};
    if (poll(&wait, 1, static_cast<int>(std::min(left, poll_ms))) < 0 && errno != EINTR)
      return errno_failure(doing());
    while (next_port(events_.get())) {
    }
    return {};
  }

  std::string own_;
  DeviceStore store_;
  EventChannels events_;
  GrantShares shares_;
  std::uint32_t backend_domid_;
  std::string backend_state_;
  void* page_ = nullptr;
  std::optional<evtchn_port_t> port_;
};

} // namespace

Result<std::string> tpmif_device_version() {
  const DeviceStore store = TRY(DeviceStore::open());
  const std::string own = path_of(TpmifDevice::vtpm);
  if (!store.read(own + "/backend"))
    return missing(TpmifDevice::vtpm);
  return store.read(own + "/version").value_or("");
}

Result<bool> has_tpmif_device(TpmifDevice device) {
  const DeviceStore store = TRY(DeviceStore::open());
  return store.read(path_of(device) + "/backend").has_value();
}

Result<std::unique_ptr<TpmifFrontend>> TpmifFrontend::connect(std::chrono::milliseconds timeout,
                                                              TpmifDevice device) {
  const auto deadline = Clock::now() + timeout;
  const std::string own = path_of(device);
  const std::string doing = "opening this domain's " + own;
  DeviceStore store = TRY(DeviceStore::open());
  const auto backend = store.read(own + "/backend");
  const auto backend_domid = store.read_number(own + "/backend-id");
  if (!backend || !backend_domid)
    return missing(device);
  EventChannels events = TRY(open_event_channels());
  GrantShares shares(xengntshr_open(nullptr, 0));
  if (!shares)
    return failure(errno == ENOENT ? ErrorCode::not_found : ErrorCode::io, doing,
                   "/dev/xen/gntalloc cannot be opened; is the module xen-gntalloc loaded?", errno);
  auto frontend = std::make_unique<Frontend>(device, std::move(store), std::move(events),
                                             std::move(shares), *backend_domid, *backend);
  TRY(frontend->connect(deadline));
  return frontend;
}

} // namespace ashlar::ipc
