// SPDX-License-Identifier: LGPL-2.1-or-later
// Owners of the Xen handles that both ends of a vTPM device need.
#pragma once

extern "C" {
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>
}
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::ipc {

/// States of xen/include/public/io/xenbus.h; 0 stands for a node that is not there.
enum class XenbusState : std::uint32_t {
  unknown = 0,
  initialising = 1,
  init_wait = 2,
  initialised = 3,
  connected = 4,
  closing = 5,
  closed = 6,
};

/// A connection to xenstored, as this domain.
class DeviceStore {
public:
  [[nodiscard]] static Result<DeviceStore> open();

  [[nodiscard]] int descriptor() const { return xs_fileno(handle_.get()); }
  /// Nothing: the node is not there, or not for us.
  [[nodiscard]] std::optional<std::string> read(const std::string& path) const;
  /// A decimal number of at most 10 digits; nothing when the node holds anything else.
  [[nodiscard]] std::optional<std::uint32_t> read_number(const std::string& path) const;
  [[nodiscard]] XenbusState read_state(const std::string& path) const;
  [[nodiscard]] Status write(const std::string& path, const std::string& value) const;
  [[nodiscard]] Status write_state(const std::string& path, XenbusState state) const;
  [[nodiscard]] std::vector<std::string> list(const std::string& path) const;
  [[nodiscard]] Status watch(const std::string& path) const;
  void unwatch(const std::string& path) const;
  /// The next watch's path, if one waits. Never blocks.
  [[nodiscard]] std::optional<std::string> next_event() const;

private:
  struct Close {
    void operator()(xs_handle* handle) const { xs_close(handle); }
  };
  explicit DeviceStore(xs_handle* handle) : handle_(handle) {}
  std::unique_ptr<xs_handle, Close> handle_;
};

struct CloseEvents {
  void operator()(xenevtchn_handle* handle) const { xenevtchn_close(handle); }
};
struct CloseGrants {
  void operator()(xengnttab_handle* handle) const { xengnttab_close(handle); }
};
struct CloseShares {
  void operator()(xengntshr_handle* handle) const { xengntshr_close(handle); }
};
using EventChannels = std::unique_ptr<xenevtchn_handle, CloseEvents>;
using GrantTable = std::unique_ptr<xengnttab_handle, CloseGrants>;
using GrantShares = std::unique_ptr<xengntshr_handle, CloseShares>;

/// Its descriptor does not block. Errors: not_found (no Xen device here), io.
[[nodiscard]] Result<EventChannels> open_event_channels();
/// The port of an event that came, if one did. It is unmasked: the next event comes again.
[[nodiscard]] std::optional<evtchn_port_t> next_port(xenevtchn_handle* events);

} // namespace ashlar::ipc
