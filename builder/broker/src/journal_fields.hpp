// SPDX-License-Identifier: LGPL-2.1-or-later
// The parts of a domain as they stand in an entry of the journal. What is read wrongly is rejected
// by the reader, and found at its end.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ashlar/base/wire.hpp"
#include "ashlar/broker/domain.hpp"

namespace ashlar::broker::journal_entry {

inline constexpr std::size_t max_text = 4096;

void write(WireWriter& writer, const UsedImage& image);
[[nodiscard]] UsedImage read_image(WireReader& reader);
void write(WireWriter& writer, const measure::DomainConfiguration& configuration);
[[nodiscard]] measure::DomainConfiguration read_configuration(WireReader& reader);
void write(WireWriter& writer, std::span<const constructor::IoPages> ranges);
[[nodiscard]] std::vector<constructor::IoPages> read_io_pages(WireReader& reader);
void write(WireWriter& writer, std::optional<measure::Profile> profile);
[[nodiscard]] std::optional<measure::Profile> read_profile(WireReader& reader);
void write(WireWriter& writer, const policy::Peer& peer);
[[nodiscard]] policy::Peer read_peer(WireReader& reader);

} // namespace ashlar::broker::journal_entry
