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

/// Rises with each change of an entry's form. Journals before 2 have no entry that says it.
inline constexpr std::uint32_t format_version = 3;
/// What every journal begins with.
[[nodiscard]] std::vector<std::byte> version();
/// Is a journal that begins with this entry one of ours? Errors: unsupported (another builder's),
/// invalid.
[[nodiscard]] Status check_version(std::span<const std::byte> first_entry);

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
