// SPDX-License-Identifier: LGPL-2.1-or-later
// The one module that holds a guest's initrds.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ashlar/base/mapping.hpp"
#include "ashlar/base/result.hpp"

namespace ashlar::constructor {

/// Several initrds become one module, each followed by zeros up to a multiple of this
/// (docs/decisions/0003-several-initrds.md).
inline constexpr std::size_t initrd_alignment = 4;

/// Whether libxenguest would hand these bytes to its own gunzip even when xc_dom_module_max_size is
/// their size. It looks at the first two bytes and takes the last four for the unpacked size, which
/// the image's author chose: only one above the packed size is over the limit. See initrd_module().
[[nodiscard]] bool libxenguest_would_unpack(std::span<const std::byte> module);

/// A module to be loaded. It refers to the initrds' mappings, which must outlive it, unless it had
/// to be put together.
class InitrdModule {
public:
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return own_.empty() ? borrowed_ : std::span<const std::byte>(own_);
  }

private:
  friend InitrdModule initrd_module(std::span<const std::span<const std::byte>> initrds);
  std::span<const std::byte> borrowed_;
  std::vector<std::byte> own_;
};

/// Makes the module of the initrds, in order: a single one as it is, without a copy; several behind
/// each other with zeros between. When libxenguest would unpack the outcome, four zeros go before
/// it: Linux skips them, and libxenguest no longer takes it for gzip. No initrds give an empty
/// module.
[[nodiscard]] InitrdModule initrd_module(std::span<const std::span<const std::byte>> initrds);

} // namespace ashlar::constructor
