// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tpmif_xen.hpp"

#include <fcntl.h>

#include <charconv>
#include <cstdlib>

namespace ashlar::ipc {

namespace {

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

} // namespace

Result<DeviceStore> DeviceStore::open() {
  xs_handle* handle = xs_open(0);
  if (!handle)
    return errno_failure("connecting to xenstore", "is this a Xen domain, and are you root?");
  return DeviceStore(handle);
}

std::optional<std::string> DeviceStore::read(const std::string& path) const {
  unsigned length = 0;
  const std::unique_ptr<void, FreeMemory> value(
      xs_read(handle_.get(), XBT_NULL, path.c_str(), &length));
  if (!value)
    return std::nullopt;
  return std::string(static_cast<const char*>(value.get()), length);
}

std::optional<std::uint32_t> DeviceStore::read_number(const std::string& path) const {
  const std::optional<std::string> text = read(path);
  std::uint32_t number = 0;
  if (!text)
    return std::nullopt;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc{} || end != text->data() + text->size())
    return std::nullopt;
  return number;
}

XenbusState DeviceStore::read_state(const std::string& path) const {
  const auto number = read_number(path);
  if (!number || *number > static_cast<std::uint32_t>(XenbusState::closed))
    return XenbusState::unknown;
  return static_cast<XenbusState>(*number);
}

Status DeviceStore::write(const std::string& path, const std::string& value) const {
  if (!xs_write(handle_.get(), XBT_NULL, path.c_str(), value.data(),
                static_cast<unsigned>(value.size())))
    return errno_failure("writing xenstore node " + path);
  return {};
}

Status DeviceStore::write_state(const std::string& path, XenbusState state) const {
  return write(path, std::to_string(static_cast<std::uint32_t>(state)));
}

std::vector<std::string> DeviceStore::list(const std::string& path) const {
  unsigned count = 0;
  const std::unique_ptr<char*, FreeMemory> names(
      xs_directory(handle_.get(), XBT_NULL, path.c_str(), &count));
  if (!names)
    return {};
  return {names.get(), names.get() + count};
}

// The path is its own token: one watch a path is enough.
Status DeviceStore::watch(const std::string& path) const {
  if (!xs_watch(handle_.get(), path.c_str(), path.c_str()))
    return errno_failure("watching xenstore node " + path);
  return {};
}

void DeviceStore::unwatch(const std::string& path) const {
  xs_unwatch(handle_.get(), path.c_str(), path.c_str());
}

std::optional<std::string> DeviceStore::next_event() const {
  const std::unique_ptr<char*, FreeMemory> event(xs_check_watch(handle_.get()));
  if (!event)
    return std::nullopt;
  return event.get()[XS_WATCH_TOKEN];
}

Result<EventChannels> open_event_channels() {
  const std::string doing = "opening Xen's event channels";
  EventChannels events(xenevtchn_open(nullptr, 0));
  if (!events)
    return failure(errno == ENOENT ? ErrorCode::not_found : ErrorCode::io, doing,
                   "is this a Xen domain with the module xen-evtchn loaded, and are you root?",
                   errno);
  const int fd = xenevtchn_fd(events.get());
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return errno_failure(doing, "they cannot be made non-blocking");
  return events;
}

std::optional<evtchn_port_t> next_port(xenevtchn_handle* events) {
  const xenevtchn_port_or_error_t port = xenevtchn_pending(events);
  if (port < 0)
    return std::nullopt;
  const auto number = static_cast<evtchn_port_t>(port);
  static_cast<void>(xenevtchn_unmask(events, number));
  return number;
}

} // namespace ashlar::ipc
