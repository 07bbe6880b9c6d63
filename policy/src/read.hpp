// SPDX-License-Identifier: LGPL-2.1-or-later
// From TOML trees to the model. What one table alone can be wrong in is found here; what needs
// several tables (references, repeated names, rules behind rules) is found in check.hpp.
#pragma once

#include <functional>
#include <string_view>

#include "fields.hpp"
#include "model.hpp"

namespace ashlar::policy {

/// The language version that this program reads: the optional top-level key `version`.
inline constexpr std::uint64_t language_version = 1;
/// The longest name of an image, a requester or a domain, and of a rule, in bytes.
inline constexpr std::size_t max_declared_name_bytes = 63;
inline constexpr std::size_t max_rule_name_bytes = 127;
/// The largest number of MiB that a limit or quota takes: 4 EiB, so that it fits in 64 bits as
/// bytes.
inline constexpr std::uint64_t max_mib_value = std::uint64_t{1} << 42;
/// The most entries of `disks`, and of `nics`, in one rule.
inline constexpr std::size_t max_device_entries = 64;
/// The largest sequence number of a release.
inline constexpr std::uint64_t max_sequence = std::uint64_t{1} << 53;

/// Adds what the top-level table of one file declares. After an error the model may be incomplete:
/// check references only without one.
void read_document(const Node& document, Model& model, Findings& findings);

/// Hands each table of an array of tables ("[[image]]") to `read`; anything else under that key is
/// an error.
void read_tables(Fields& file, std::string_view key, Findings& findings,
                 const std::function<void(const Fields&)>& read);

void read_image(Fields fields, Model& model);
void read_certificate(Fields fields, Model& model);
void read_release(Fields fields, Model& model);
void read_manifest(Fields fields, Model& model);
void read_revoked(Fields fields, Model& model);
void read_requester(Fields fields, Model& model);
void read_rule(Fields fields, Model& model, Findings& findings);

/// Can a domain, an image or a requester have this name? 1 to 63 bytes of [A-Za-z0-9._+-].
[[nodiscard]] bool name_is_possible(std::string_view name);

/// Reads the key "name" of a table that others refer to: 1 to 63 bytes of [A-Za-z0-9._+-], not
/// "any".
[[nodiscard]] std::optional<Word> read_name(Fields& fields, std::string_view key);

} // namespace ashlar::policy
