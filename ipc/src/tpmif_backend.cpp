// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/epoll.h>
#include <sys/mman.h>

#include <array>
#include <map>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/ipc/tpmif_page.hpp"
#include "tpmif_xen.hpp"

namespace ashlar::ipc {

namespace {

/// Devices of one backend domain. xenstored lets a domain have 128 watches and own 1000 nodes.
constexpr std::size_t max_devices = 96;
/// Events of either sort handled before the caller gets its turn, but one packet at most: that may
/// take seconds.
constexpr int events_per_turn = 256;

struct Unmap {
  xengnttab_handle* grants;
  void operator()(void* page) const { xengnttab_unmap(grants, page, 1); }
};

/// One frontend, and what is connected with it.
struct Device {
  std::uint32_t domid = 0;
  std::string back;     // our node
  std::string front;    // the frontend's node: it owns it, so only numbers are taken from there
  bool offered = false; // our state is InitWait or later
  bool refused = false; // for good: the frontend's domain has to go first
  std::unique_ptr<void, Unmap> page{nullptr, Unmap{nullptr}};
  std::optional<evtchn_port_t> port;
};

class Backends final : public TpmifBackends {
public:
  Backends(TpmifHandler& handler, TpmifDevice kind, DeviceStore store, EventChannels events,
           GrantTable grants, UniqueFd waits)
      : handler_(handler), kind_(to_string(kind)), home_("backend/" + kind_),
        store_(std::move(store)), events_(std::move(events)), grants_(std::move(grants)),
        waits_(std::move(waits)) {}
  Backends(const Backends&) = delete;
  Backends& operator=(const Backends&) = delete;
  ~Backends() override {
    for (auto& [domid, device] : devices_)
      disconnect(device);
  }

  [[nodiscard]] int descriptor() const override { return waits_.value(); }

  [[nodiscard]] Status start() {
    for (const int fd : {store_.descriptor(), xenevtchn_fd(events_.get())}) {
      epoll_event wanted{};
      wanted.events = EPOLLIN;
      wanted.data.fd = fd;
      if (epoll_ctl(waits_.value(), EPOLL_CTL_ADD, fd, &wanted) != 0)
        return errno_failure("waiting for vTPM devices");
    }
    return store_.watch(home_);
  }

  // What is left stays in its queue and keeps the descriptor readable. A port waits in line behind
  // those whose events came before, also when it has just been served.
  [[nodiscard]] Status turn() override {
    for (int i = 0; i < events_per_turn; ++i) {
      const std::optional<std::string> path = store_.next_event();
      if (!path)
        break;
      changed(*path);
    }
    bool served = false;
    for (int i = 0; i < events_per_turn && !served; ++i) {
      const std::optional<evtchn_port_t> port = next_port(events_.get());
      if (!port)
        break;
      for (auto& [domid, device] : devices_)
        if (device.port == port)
          served = serve(device);
    }
    return {};
  }

private:
  void changed(const std::string& path) {
    if (path == home_)
      return look_for_devices();
    for (auto& [domid, device] : devices_)
      if (path == device.front + "/state")
        return update(device);
  }

  void look_for_devices() {
    for (auto next = devices_.begin(); next != devices_.end();) {
      Device& device = next->second;
      if (store_.read(device.back + "/frontend-id")) {
        ++next;
        continue;
      }
      disconnect(device);
      store_.unwatch(device.front + "/state");
      next = devices_.erase(next);
    }
    for (const std::string& name : store_.list(home_)) {
      const auto domid = store_.read_number(fmt::format("{}/{}/0/frontend-id", home_, name));
      if (domid && std::to_string(*domid) == name && !devices_.contains(*domid))
        add(*domid);
    }
  }

  void add(std::uint32_t domid) {
    Device device;
    device.domid = domid;
    device.back = fmt::format("{}/{}/0", home_, domid);
    device.front = fmt::format("/local/domain/{}/device/{}/0", domid, kind_);
    if (devices_.size() >= max_devices)
      return refuse(device, fmt::format("there are {} devices already", max_devices));
    if (const Status watched = store_.watch(device.front + "/state"); !watched)
      return refuse(device, watched.error().message());
    Device& added = devices_.emplace(domid, std::move(device)).first->second;
    // A frontend that is connected shares its page with a process before this one: it has to come
    // anew, and does when it sees us closed.
    if (store_.read_state(added.front + "/state") == XenbusState::connected)
      set_state(added, XenbusState::closed);
  }

  void update(Device& device) {
    const XenbusState state = store_.read_state(device.front + "/state");
    if (state == XenbusState::closing || state == XenbusState::closed ||
        state == XenbusState::unknown) {
      if (device.offered)
        set_state(device, XenbusState::closed);
      return disconnect(device);
    }
    // It comes anew while it is connected: its process was killed, and said no goodbye.
    if (state == XenbusState::initialising && device.page)
      disconnect(device);
    if (device.refused || state == XenbusState::connected)
      return;
    if (!device.offered && !offer(device))
      return;
    if (state == XenbusState::initialised && !device.page)
      connect(device);
  }

  [[nodiscard]] bool offer(Device& device) {
    if (const Status admitted = handler_.connected(device.domid); !admitted) {
      refuse(device, admitted.error().message());
      return false;
    }
    device.offered = true;
    static_cast<void>(store_.write(device.back + "/feature-protocol-v2", "1"));
    set_state(device, XenbusState::init_wait);
    return true;
  }

  void connect(Device& device) {
    const auto reference = store_.read_number(device.front + "/ring-ref");
    const auto remote = store_.read_number(device.front + "/event-channel");
    if (!reference || !remote)
      return refuse(device, "its ring-ref or event-channel is no number");
    // Both calls fail unless that very domain has shared the page and the port with this one.
    device.page = {
        xengnttab_map_grant_ref(grants_.get(), device.domid, *reference, PROT_READ | PROT_WRITE),
        Unmap{grants_.get()}};
    if (!device.page)
      return refuse(device, "the page that it names cannot be mapped");
    const xenevtchn_port_or_error_t port =
        xenevtchn_bind_interdomain(events_.get(), device.domid, *remote);
    if (port < 0)
      return refuse(device, "the event channel that it names cannot be bound");
    device.port = static_cast<evtchn_port_t>(port);
    static_cast<void>(store_.write(device.back + "/ready", "1"));
    set_state(device, XenbusState::connected);
    // The stock frontend does not wait for us to be connected before it asks: binding a port makes
    // it pending (EVTCHNOP_bind_interdomain in Xen's event_channel.h), so that its page is looked
    // at.
  }

  /// Was there a packet?
  bool serve(Device& device) {
    TpmifPage page(device.page.get());
    const TpmifState state = page.state();
    if (state != TpmifState::submit && state != TpmifState::cancel)
      return false;
    if (state == TpmifState::cancel)
      page.set_idle();
    else if (const Status answered = answer(device, page); !answered)
      refuse(device, answered.error().message());
    if (device.port)
      xenevtchn_notify(events_.get(), *device.port);
    return state == TpmifState::submit;
  }

  [[nodiscard]] Status answer(const Device& device, TpmifPage& page) {
    const std::vector<std::byte> packet = TRY(page.take());
    const std::vector<std::byte> answer = handler_.answer(device.domid, packet);
    if (answer.empty())
      return failure(ErrorCode::invalid, "answering its packet", "there is no answer for it");
    return page.put(answer, TpmifState::finish);
  }

  void refuse(Device& device, const std::string& why) {
    log::warning("the {} device of domain {} is closed: {}", kind_, device.domid, why);
    device.refused = true;
    disconnect(device);
    set_state(device, XenbusState::closed);
  }

  void disconnect(Device& device) {
    if (device.port)
      xenevtchn_unbind(events_.get(), *device.port);
    device.port.reset();
    device.page.reset();
    if (device.offered)
      handler_.disconnected(device.domid);
    device.offered = false;
  }

  void set_state(const Device& device, XenbusState state) {
    if (const Status written = store_.write_state(device.back + "/state", state); !written)
      log::warning("{}", written.error().message());
  }

  TpmifHandler& handler_;
  std::string kind_;
  std::string home_; // relative: below this domain's own /local/domain/N
  DeviceStore store_;
  EventChannels events_;
  GrantTable grants_;
  UniqueFd waits_;
  std::map<std::uint32_t, Device> devices_;
};

} // namespace

Result<std::unique_ptr<TpmifBackends>> TpmifBackends::open(TpmifHandler& handler,
                                                           TpmifDevice device) {
  const std::string doing = std::string("offering devices ") + to_string(device);
  DeviceStore store = TRY(DeviceStore::open());
  EventChannels events = TRY(open_event_channels());
  GrantTable grants(xengnttab_open(nullptr, 0));
  if (!grants)
    return failure(errno == ENOENT ? ErrorCode::not_found : ErrorCode::io, doing,
                   "/dev/xen/gntdev cannot be opened; is the module xen-gntdev loaded?", errno);
  UniqueFd waits(epoll_create1(EPOLL_CLOEXEC));
  if (!waits)
    return errno_failure(doing);
  auto backends = std::make_unique<Backends>(handler, device, std::move(store), std::move(events),
                                             std::move(grants), std::move(waits));
  TRY(backends->start());
  return backends;
}

Result<std::string> tpmif_device_node(TpmifDevice device, std::uint32_t frontend_domid,
                                      const std::string& node) {
  const DeviceStore store = TRY(DeviceStore::open());
  const std::string path =
      fmt::format("backend/{}/{}/0/{}", to_string(device), frontend_domid, node);
  if (std::optional<std::string> value = store.read(path))
    return *std::move(value);
  return failure(ErrorCode::not_found,
                 fmt::format("looking for what domain {}'s device is about", frontend_domid),
                 "xenstore has no " + path);
}

} // namespace ashlar::ipc
