// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/broker/device_nodes.hpp"
#include "ashlar/broker/event_loop.hpp"
#include "ashlar/xen/store.hpp"

namespace ashlar::broker {

/// Binds guests' disks and network interfaces to their backends, and takes them away again. What a
/// backend writes only ever delays or fails its own guest: none of it is kept or acted on further.
class Devices {
public:
  using Waiting = std::function<void()>;
  using Attached = std::function<void(Status)>;
  using Detached = std::function<void()>;

  /// `attach_time`: how long a build waits for its backends.
  Devices(EventLoop& loop, xen::Store& store, std::chrono::seconds attach_time)
      : loop_(loop), store_(store), attach_time_(attach_time) {}
  Devices(const Devices&) = delete;
  Devices& operator=(const Devices&) = delete;
  ~Devices();

  /// Writes the nodes of a domain that has not run yet, once no guest that is gone has its disks
  /// any more, and waits until each backend's domain says that it has set up its end
  /// (hotplug-status "connected", as Xen's scripts write it). `waiting` is called now and then,
  /// `attached` is called once, perhaps from inside this call; after an error, or give_up(),
  /// detach() removes what is there.
  void attach(const Domain& domain, Waiting waiting, Attached attached);
  /// Nobody waits for the devices of this record any more.
  void give_up(std::uint64_t serial);

  /// Tells the backends of a domain that ends to let go (online 0, state 5, no frontend), and
  /// removes their nodes when they did, or after device_detach_time. To be called before the domain
  /// is destroyed: xenstored takes a dead domain's nodes away without a word to its backends. Calls
  /// `detached` then: at once where there is nothing to wait for. For the record of an earlier
  /// process as well.
  void detach(const Domain& domain, Detached detached);
  [[nodiscard]] bool detaching(std::uint64_t serial) const { return detaching_.contains(serial); }

  /// A watched node of xenstore, or one below, changed.
  void store_changed(std::string_view path);

private:
  struct Attaching {
    std::vector<Device> devices;
    Waiting waiting;
    Attached attached;
    EventLoop::Id limit = 0; // from when it has begun
    EventLoop::Id progress = 0;
    bool begun = false; // its nodes are written
  };
  struct Detaching {
    std::vector<Device> devices;
    Detached detached;
    EventLoop::Id limit = 0;
  };
  [[nodiscard]] Status write(const std::vector<Device>& devices);
  void show_progress(std::uint64_t serial);
  /// Writes the nodes of a domain that is attaching, unless it has to wait for a disk.
  void begin(std::uint64_t serial);
  /// A guest that is gone may still have writes under way to this disk.
  [[nodiscard]] bool still_used(const Device& wanted) const;
  /// A domain whose devices are waited for is destroyed: its build hears of it.
  void stop_attaching(std::uint64_t serial);
  void finish_attaching(std::uint64_t serial, const Status& outcome);
  void finish_detaching(std::uint64_t serial);
  /// Whose devices are being detached at this path, or above it.
  [[nodiscard]] std::optional<std::uint64_t> detaching_from(std::string_view path) const;
  /// Nobody in the backend's domain has done anything about it: there is nothing to wait for.
  [[nodiscard]] bool untouched(const Device& device);
  [[nodiscard]] bool let_go(const Device& device);
  /// What a backend's domain says of its end of a device; `why` is there once it failed.
  struct Report {
    bool ready = false;
    std::string why = {};
  };
  [[nodiscard]] Report report_of(const Device& device);

  EventLoop& loop_;
  xen::Store& store_;
  std::chrono::seconds attach_time_;
  std::map<std::uint64_t, Attaching> attaching_; // by serial
  std::map<std::uint64_t, Detaching> detaching_;
};

} // namespace ashlar::broker
