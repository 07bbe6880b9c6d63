// SPDX-License-Identifier: LGPL-2.1-or-later
// The journal's entries: one function writes each kind, one function reads them all.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ashlar/broker/journal.hpp"

namespace ashlar::broker::journal_entry {

/// Longest entry: a domain with its record, eight initrd labels, a command line and a signature for
/// each image fits.
inline constexpr std::size_t max_bytes = 128u << 10;

[[nodiscard]] std::vector<std::byte> counter(std::uint64_t next_serial);
[[nodiscard]] std::vector<std::byte> intent(std::uint64_t serial, const measure::Uuid& uuid);
[[nodiscard]] std::vector<std::byte> abandoned(std::uint64_t serial);
[[nodiscard]] Result<std::vector<std::byte>> built(const Domain& domain);
[[nodiscard]] std::vector<std::byte> admitted(std::uint64_t serial);
[[nodiscard]] std::vector<std::byte> started(std::uint64_t serial);
[[nodiscard]] std::vector<std::byte> revoked(std::uint64_t serial);
[[nodiscard]] std::vector<std::byte> holder(const measure::Sha256& image,
                                            const std::string& requester);
[[nodiscard]] std::vector<std::byte> image_dropped(const measure::Sha256& image);

/// Carries one entry out on `state`. Errors: invalid.
[[nodiscard]] Status apply(JournalState& state, std::span<const std::byte> entry);

} // namespace ashlar::broker::journal_entry
