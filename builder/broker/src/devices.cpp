// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/devices.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/broker/limits.hpp"
#include "xenbus_state.hpp"

namespace ashlar::broker {

namespace {

constexpr std::size_t max_report_bytes = 300; // shown of what a backend's domain says

std::string status_path(const Device& device) {
  return device.backend_path() + "/hotplug-status";
}

std::string home(const Device& device) {
  return backend_home(device.kind, device.backend, device.frontend);
}

std::set<std::string> homes(const std::vector<Device>& devices) {
  std::set<std::string> all;
  for (const Device& device : devices)
    all.insert(home(device));
  return all;
}

bool is_or_below(std::string_view path, std::string_view home) {
  return path.starts_with(home) && (path.size() == home.size() || path[home.size()] == '/');
}

std::string doing(const Device& device) {
  return "attaching " + device.title;
}

} // namespace

Devices::~Devices() {
  for (const auto& [serial, attaching] : attaching_) {
    loop_.forget(attaching.limit);
    loop_.forget(attaching.progress);
  }
  for (const auto& [serial, detaching] : detaching_)
    loop_.forget(detaching.limit);
}

void Devices::attach(const Domain& domain, Waiting waiting, Attached attached) {
  Result<std::vector<Device>> devices = devices_of(domain);
  if (!devices || devices->empty())
    return attached(devices ? Status{} : std::unexpected(devices.error()));
  const std::uint64_t serial = domain.record.serial;
  Attaching& attaching = attaching_[serial];
  attaching.devices = std::move(*devices);
  attaching.waiting = std::move(waiting);
  attaching.attached = std::move(attached);
  show_progress(serial);
  if (attaching_.contains(serial))
    begin(serial);
}

void Devices::show_progress(std::uint64_t serial) {
  Attaching& attaching = attaching_.at(serial);
  attaching.progress = loop_.after(device_progress_time, [this, serial] { show_progress(serial); });
  // Last, and from a copy: whoever hears of it may give the build up.
  const Waiting waiting = attaching.waiting;
  waiting();
}

void Devices::begin(std::uint64_t serial) {
  Attaching& attaching = attaching_.at(serial);
  if (attaching.begun || std::ranges::any_of(attaching.devices, [this](const Device& device) {
        return still_used(device);
      }))
    return;
  attaching.begun = true;
  attaching.limit = loop_.after(attach_time_, [this, serial] {
    const std::vector<Device>& late = attaching_.at(serial).devices;
    const auto silent = std::ranges::find_if(
        late, [this](const Device& device) { return !report_of(device).ready; });
    const Device& device = silent == late.end() ? late.front() : *silent;
    finish_attaching(serial,
                     failure(ErrorCode::timeout, doing(device),
                             fmt::format("the domain \"{}\" did not set it up within {} s: does "
                                         "`xl devd` run there, and is the driver loaded?",
                                         device.backend_name, attach_time_.count())));
  });
  if (const Status written = write(attaching.devices); !written)
    finish_attaching(serial, written);
}

bool Devices::still_used(const Device& wanted) const {
  if (wanted.target.empty())
    return false;
  return std::ranges::any_of(detaching_, [&wanted](const auto& entry) {
    return std::ranges::any_of(entry.second.devices, [&wanted](const Device& device) {
      return device.backend == wanted.backend && device.target == wanted.target;
    });
  });
}

Status Devices::write(const std::vector<Device>& devices) {
  // An earlier owner of the domid may have left some, where its backend takes its time.
  for (const std::string& place : homes(devices)) {
    while (const std::optional<std::uint64_t> earlier = detaching_from(place))
      finish_detaching(*earlier);
    TRY(store_.remove(place));
  }
  for (const Device& device : devices) {
    TRY(store_.replace(device.backend_path(), device_nodes(device)));
    TRY(store_.watch(status_path(device)));
  }
  return {};
}

void Devices::give_up(std::uint64_t serial) {
  const auto found = attaching_.find(serial);
  if (found == attaching_.end())
    return;
  loop_.forget(found->second.limit);
  loop_.forget(found->second.progress);
  if (found->second.begun)
    for (const Device& device : found->second.devices)
      static_cast<void>(store_.unwatch(status_path(device)));
  attaching_.erase(found);
}

Devices::Report Devices::report_of(const Device& device) {
  const auto read = [&](const char* name) {
    return store_.read(device.backend_path() + "/" + name);
  };
  const std::string status = read("hotplug-status").value_or("");
  if (status == "error" || status == "busy")
    return {.why = read("hotplug-error").value_or("it does not say why")};
  if (status != "connected")
    return {};
  // Xen's script says "connected" of a path where nothing is, too.
  if (!device.target.empty() && !read("physical-device"))
    return {.why = device.target + " is no block device or file there"};
  return {.ready = true};
}

void Devices::finish_attaching(std::uint64_t serial, const Status& outcome) {
  const Attached attached = std::move(attaching_.at(serial).attached);
  give_up(serial);
  attached(outcome);
}

void Devices::stop_attaching(std::uint64_t serial) {
  const auto found = attaching_.find(serial);
  if (found == attaching_.end())
    return;
  Attaching& attaching = found->second;
  if (attaching.begun)
    for (const Device& device : attaching.devices)
      static_cast<void>(store_.unwatch(status_path(device)));
  attaching.begun = true; // so that nothing is written for it later
  attaching.devices.clear();
  loop_.forget(attaching.limit);
  // Its build is told later: whoever destroys the domain is in the middle of it.
  attaching.limit = loop_.after(std::chrono::milliseconds(0), [this, serial] {
    finish_attaching(serial, failure(ErrorCode::cancelled, "attaching its devices",
                                     "the domain was destroyed before it was ready"));
  });
}

void Devices::detach(const Domain& domain, Detached detached) {
  stop_attaching(domain.record.serial);
  Result<std::vector<Device>> devices = devices_of(domain);
  if (!devices || devices->empty())
    return detached();
  const std::uint64_t serial = domain.record.serial;
  Detaching& detaching = detaching_[serial];
  loop_.forget(detaching.limit); // of a first attempt to destroy the domain
  detaching.devices = std::move(*devices);
  detaching.detached = std::move(detached);
  detaching.limit = loop_.after(device_detach_time, [this, serial] { finish_detaching(serial); });
  // What fails here costs time alone: after the limit the nodes are removed all the same.
  for (const std::string& place : homes(detaching.devices))
    if (const Status watched = store_.watch(place); !watched)
      log::warning("detaching the devices of {}: {}", domain.name(), watched.error().message());
  for (const Device& device : detaching.devices) {
    const std::string path = device.backend_path();
    // A guest that shut itself down has closed its end, and the backend its own: Linux' does not
    // say so a second time, and `xl devd` removes only what is closed.
    Status told =
        untouched(device)
            ? store_.remove(path)
            : store_.update(path, {{path + "/online", "0", {}},
                                   {path + "/state", xenbus::closing, {}, xenbus::closed}});
    // Linux' backends let go when the frontend's end goes.
    if (told)
      told = store_.remove(device.frontend_path());
    if (!told)
      log::warning("detaching {} of {}: {}", device.title, domain.name(), told.error().message());
  }
  if (std::ranges::all_of(detaching.devices,
                          [this](const Device& device) { return let_go(device); }))
    finish_detaching(serial);
}

bool Devices::untouched(const Device& device) {
  const auto is = [&](const char* name, std::string_view value) {
    return store_.read(device.backend_path() + "/" + name).value_or("") == value;
  };
  return is("state", xenbus::initialising) && is("hotplug-status", "");
}

bool Devices::let_go(const Device& device) {
  const Result<std::string> state = store_.read(device.backend_path() + "/state");
  return !state && state.error().code == ErrorCode::not_found;
}

void Devices::finish_detaching(std::uint64_t serial) {
  auto node = detaching_.extract(serial);
  loop_.forget(node.mapped().limit);
  for (const std::string& place : homes(node.mapped().devices)) {
    static_cast<void>(store_.unwatch(place));
    if (const Status removed = store_.remove(place); !removed)
      log::warning("{}", removed.error().message());
  }
  node.mapped().detached();
  std::vector<std::uint64_t> waiting;
  for (const auto& [later, attaching] : attaching_)
    if (!attaching.begun)
      waiting.push_back(later);
  for (const std::uint64_t later : waiting)
    if (attaching_.contains(later))
      begin(later);
}

std::optional<std::uint64_t> Devices::detaching_from(std::string_view path) const {
  for (const auto& [serial, detaching] : detaching_)
    for (const std::string& place : homes(detaching.devices))
      if (is_or_below(path, place))
        return serial;
  return std::nullopt;
}

void Devices::store_changed(std::string_view path) {
  for (const auto& [serial, attaching] : attaching_) {
    const auto changed = std::ranges::find(attaching.devices, path, status_path);
    if (changed == attaching.devices.end())
      continue;
    if (const Report report = report_of(*changed); !report.why.empty())
      return finish_attaching(
          serial, failure(ErrorCode::io, doing(*changed),
                          fmt::format("the domain \"{}\" reports: {}", changed->backend_name,
                                      printable(report.why, max_report_bytes))));
    if (std::ranges::all_of(attaching.devices,
                            [this](const Device& device) { return report_of(device).ready; }))
      finish_attaching(serial, {});
    return;
  }
  if (const std::optional<std::uint64_t> serial = detaching_from(path);
      serial && std::ranges::all_of(detaching_.at(*serial).devices,
                                    [this](const Device& device) { return let_go(device); }))
    finish_detaching(*serial);
}

} // namespace ashlar::broker
