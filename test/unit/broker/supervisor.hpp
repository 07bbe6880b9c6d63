// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <map>
#include <set>
#include <string>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/base/unique_fd.hpp"

namespace ashlar::broker::test {

/// The part of a service supervisor that keeps descriptors: a datagram socket named by
/// NOTIFY_SOCKET, and LISTEN_FDS for the next start.
class Supervisor {
public:
  Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor();

  /// What the builder has stored so far, by name; each descriptor once.
  [[nodiscard]] std::map<std::string, UniqueFd> stored() const;
  [[nodiscard]] std::set<std::string> removed() const;
  [[nodiscard]] bool ready() const;
  /// Puts the descriptors and the environment in place, as they are for the next start.
  void give_back(std::map<std::string, UniqueFd> stored) const;

private:
  void receive() const;
  mutable std::map<int, UniqueFd> kept_free_; // the numbers that the next start will look at
  UniqueFd socket_;
  std::string path_;
  mutable std::map<std::string, UniqueFd> stored_;
  mutable std::set<std::string> removed_;
  mutable bool ready_ = false;
};

} // namespace ashlar::broker::test
