// SPDX-License-Identifier: LGPL-2.1-or-later
// libxenstore, libxenevtchn and libxengnttab for one domain, as far as a tpmif backend uses them:
// the program's own functions take the place of the libraries'.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>

namespace ashlar::ipc {

/// What the libraries would have of Xen. One a process; a test begins with a new one.
struct FakeXen {
  using Page = std::array<std::byte, 4096>;

  FakeXen();
  ~FakeXen();
  FakeXen(const FakeXen&) = delete;
  FakeXen& operator=(const FakeXen&) = delete;

  /// As another domain: the backend's watches fire.
  void write(const std::string& path, const std::string& value);
  /// As a frontend that has put something into its page.
  void notify(std::uint32_t port);

  std::map<std::string, std::string> nodes;
  std::set<std::string> watches;
  std::map<std::uint32_t, Page> shared; // by grant reference
  std::set<std::uint32_t> mapped;       // grant references
  std::set<std::uint32_t> bound;        // remote ports: each is its local one, too
  std::deque<std::string> fired;        // watches' tokens
  std::deque<std::uint32_t> pending;    // ports
  int watch_descriptor;                 // readable while something is in the queue
  int event_descriptor;
};

} // namespace ashlar::ipc
