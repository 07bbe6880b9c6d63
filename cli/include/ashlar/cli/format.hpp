// SPDX-License-Identifier: LGPL-2.1-or-later
// What the builder sent, as tables for people and as JSON for programs. docs/man/ashlar.1 has the
// shapes of the JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ashlar/ipc/message.hpp"

namespace ashlar::cli {

/// A measurement record as it came: its head, then its events.
struct RecordParts {
  ashlar_v1_RecordHead head{};
  std::vector<ashlar_v1_RecordEvent> events;
};

/// One policy file, put together again.
struct PolicyFile {
  std::string name;
  std::string text;
};

[[nodiscard]] std::string domains_table(const std::vector<ashlar_v1_Domain>& domains,
                                        bool with_all);
[[nodiscard]] nlohmann::ordered_json domains_json(const std::vector<ashlar_v1_Domain>& domains);

/// "key: value" lines, with the images' digests.
[[nodiscard]] std::string domain_text(const ashlar_v1_Domain& domain);
[[nodiscard]] nlohmann::ordered_json domain_json(const ashlar_v1_Domain& domain);

[[nodiscard]] std::string record_text(const RecordParts& record);
[[nodiscard]] nlohmann::ordered_json record_json(const RecordParts& record);

[[nodiscard]] std::string images_table(const std::vector<ashlar_v1_Image>& images);
[[nodiscard]] nlohmann::ordered_json images_json(const std::vector<ashlar_v1_Image>& images);

[[nodiscard]] std::string policy_text(const std::vector<PolicyFile>& files,
                                      const ashlar_v1_PolicyState& state);
[[nodiscard]] nlohmann::ordered_json policy_json(const std::vector<PolicyFile>& files,
                                                 const ashlar_v1_PolicyState& state);

/// What the machine's TPM says of all records since boot.
[[nodiscard]] std::string host_text(const ashlar_v1_HostState& state);
[[nodiscard]] nlohmann::ordered_json host_json(const ashlar_v1_HostState& state);

[[nodiscard]] std::string version_text(const ashlar_v1_Welcome& welcome);
[[nodiscard]] nlohmann::ordered_json version_json(const ashlar_v1_Welcome& welcome);

/// A JSON value as one line, or indented; bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string json_text(const nlohmann::ordered_json& value);

} // namespace ashlar::cli
