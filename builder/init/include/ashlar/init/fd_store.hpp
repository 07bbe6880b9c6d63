// SPDX-License-Identifier: LGPL-2.1-or-later
// The descriptors that the builder leaves with init, so that a restarted builder has the images of
// its running guests again. The protocol is systemd's (sd_notify(3), sd_listen_fds(3)): the same
// builder runs below systemd.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"

namespace ashlar::init {

/// As FileDescriptorStoreMax= of the systemd unit.
inline constexpr std::size_t max_stored_descriptors = 512;
/// The name of descriptors that came without a valid one (sd_pid_notify_with_fds(3)).
inline constexpr std::string_view unnamed_descriptor = "stored";
inline constexpr std::size_t max_descriptor_name = 255; // characters

/// 1 to 255 printable ASCII characters, no colon (which separates names in LISTEN_FDNAMES).
[[nodiscard]] bool valid_descriptor_name(std::string_view name);

class FdStore {
public:
  /// Keeps `fd` under `name`, which several may share. A descriptor of an open file that is stored
  /// already is closed and changes nothing. Errors: limit.
  [[nodiscard]] Status add(UniqueFd fd, std::string_view name);

  /// Closes all that are stored under `name`; gives their number.
  std::size_t remove(std::string_view name);

  /// In the order in which they came.
  [[nodiscard]] std::vector<int> descriptors() const;

  /// The value of LISTEN_FDNAMES: the names in the same order, with colons between.
  [[nodiscard]] std::string names() const;

private:
  struct Entry {
    UniqueFd fd;
    std::string name;
  };
  std::vector<Entry> entries_;
};

} // namespace ashlar::init
