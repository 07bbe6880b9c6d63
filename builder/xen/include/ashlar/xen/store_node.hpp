// SPDX-License-Identifier: LGPL-2.1-or-later
// A node of xenstore to be written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ashlar::xen {

/// Who may use a node besides its owner, who may do anything. Domains that are not named may
/// nothing.
struct Permission {
  std::uint32_t owner = 0;
  std::optional<std::uint32_t> reader;
  bool operator==(const Permission&) const = default;
};

struct StoreNode {
  std::string path;                       // absolute
  std::optional<std::string> value;       // without one, only the permission is set
  std::optional<Permission> permission;   // without one, a new node has its parent's of that moment
  std::optional<std::string> unless = {}; // update() leaves a node that has this value as it is
};

} // namespace ashlar::xen
