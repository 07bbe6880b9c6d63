// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fake_xen.hpp"

extern "C" {
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>
}
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

using ashlar::ipc::FakeXen;

namespace {

FakeXen* xen = nullptr;

// Each handle is only ever given back to the functions below.
template <typename Handle>
Handle* some_handle() {
  return reinterpret_cast<Handle*>(xen);
}

void set_readable(int descriptor, bool readable) {
  eventfd_t value = 0;
  static_cast<void>(eventfd_read(descriptor, &value));
  if (readable)
    static_cast<void>(eventfd_write(descriptor, 1));
}

/// One block of memory for all, as libxenstore has it.
char** block_of(const std::vector<std::string>& texts) {
  std::size_t bytes = texts.size() * sizeof(char*);
  for (const std::string& text : texts)
    bytes += text.size() + 1;
  auto** block = static_cast<char**>(std::malloc(bytes));
  char* next = reinterpret_cast<char*>(block + texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    block[i] = next;
    next = std::copy_n(texts[i].c_str(), texts[i].size() + 1, next);
  }
  return block;
}

} // namespace

namespace ashlar::ipc {

FakeXen::FakeXen()
    : watch_descriptor(eventfd(0, EFD_NONBLOCK)), event_descriptor(eventfd(0, EFD_NONBLOCK)) {
  xen = this;
}

FakeXen::~FakeXen() {
  close(watch_descriptor);
  close(event_descriptor);
  xen = nullptr;
}

void FakeXen::write(const std::string& path, const std::string& value) {
  nodes[path] = value;
  for (const std::string& watch : watches)
    if (path == watch || path.starts_with(watch + "/"))
      fired.push_back(watch);
  set_readable(watch_descriptor, !fired.empty());
}

void FakeXen::notify(std::uint32_t port) {
  if (bound.contains(port) && std::ranges::find(pending, port) == pending.end())
    pending.push_back(port);
  set_readable(event_descriptor, !pending.empty());
}

} // namespace ashlar::ipc

extern "C" {

xs_handle* xs_open(unsigned long) {
  return some_handle<xs_handle>();
}
void xs_close(xs_handle*) {}
int xs_fileno(xs_handle*) {
  return xen->watch_descriptor;
}
void* xs_read(xs_handle*, xs_transaction_t, const char* path, unsigned* length) {
  const auto found = xen->nodes.find(path);
  if (found == xen->nodes.end())
    return nullptr;
  *length = static_cast<unsigned>(found->second.size());
  return strdup(found->second.c_str());
}
bool xs_write(xs_handle*, xs_transaction_t, const char* path, const void* data, unsigned length) {
  xen->write(path, {static_cast<const char*>(data), length});
  return true;
}
char** xs_directory(xs_handle*, xs_transaction_t, const char* path, unsigned* count) {
  const std::string above = std::string(path) + "/";
  std::set<std::string> names;
  for (const auto& [node, value] : xen->nodes)
    if (node.starts_with(above))
      names.insert(node.substr(above.size(), node.find('/', above.size()) - above.size()));
  *count = static_cast<unsigned>(names.size());
  return block_of({names.begin(), names.end()});
}
bool xs_watch(xs_handle*, const char* path, const char* token) {
  xen->watches.insert(path);
  xen->fired.emplace_back(token);
  set_readable(xen->watch_descriptor, true);
  return true;
}
bool xs_unwatch(xs_handle*, const char* path, const char*) {
  return xen->watches.erase(path) != 0;
}
char** xs_check_watch(xs_handle*) {
  if (xen->fired.empty())
    return nullptr;
  const std::string token = xen->fired.front();
  xen->fired.pop_front();
  set_readable(xen->watch_descriptor, !xen->fired.empty());
  return block_of({token, token});
}

xenevtchn_handle* xenevtchn_open(xentoollog_logger*, unsigned) {
  return some_handle<xenevtchn_handle>();
}
int xenevtchn_close(xenevtchn_handle*) {
  return 0;
}
int xenevtchn_fd(xenevtchn_handle*) {
  return xen->event_descriptor;
}
xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle*) {
  if (xen->pending.empty())
    return -1;
  const std::uint32_t port = xen->pending.front();
  xen->pending.pop_front();
  set_readable(xen->event_descriptor, !xen->pending.empty());
  return static_cast<xenevtchn_port_or_error_t>(port);
}
int xenevtchn_unmask(xenevtchn_handle*, evtchn_port_t) {
  return 0;
}
int xenevtchn_notify(xenevtchn_handle*, evtchn_port_t) {
  return 0;
}
// "EVTCHNOP_bind_interdomain always sets the local event channel pending."
xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle*, std::uint32_t,
                                                     evtchn_port_t remote) {
  xen->bound.insert(remote);
  xen->notify(remote);
  return static_cast<xenevtchn_port_or_error_t>(remote);
}
int xenevtchn_unbind(xenevtchn_handle*, evtchn_port_t port) {
  xen->bound.erase(port);
  return 0;
}

xengnttab_handle* xengnttab_open(xentoollog_logger*, unsigned) {
  return some_handle<xengnttab_handle>();
}
int xengnttab_close(xengnttab_handle*) {
  return 0;
}
void* xengnttab_map_grant_ref(xengnttab_handle*, std::uint32_t, std::uint32_t reference, int) {
  const auto found = xen->shared.find(reference);
  if (found == xen->shared.end())
    return nullptr;
  xen->mapped.insert(reference);
  return found->second.data();
}
int xengnttab_unmap(xengnttab_handle*, void* page, std::uint32_t) {
  for (auto& [reference, shared] : xen->shared)
    if (shared.data() == page)
      xen->mapped.erase(reference);
  return 0;
}

} // extern "C"
