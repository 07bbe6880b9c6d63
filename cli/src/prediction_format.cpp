// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/prediction.hpp"
#include "ashlar/cli/table.hpp"

namespace ashlar::cli {

namespace {

using Json = nlohmann::ordered_json;

std::string hex(const measure::Digests& digests, measure::Bank bank) {
  return to_hex(digests.of(bank));
}

Json event_json(const measure::Event& event) {
  Json object = {{"type", measure::to_string(event.type)},
                 {"label", event.label},
                 {"size", event.size},
                 {"content", event.content}};
  for (const measure::Bank bank : measure::all_banks)
    object[measure::to_string(bank)] = hex(event.digests, bank);
  return object;
}

std::string event_text(std::size_t number, const measure::Event& event) {
  std::string text =
      fmt::format("{:>2}  {}  {} bytes{}{}\n", number, to_string(event.type), event.size,
                  event.label.empty() ? "" : "  ", printable(event.label));
  if (!event.content.empty())
    text += fmt::format("    content {}\n", printable(event.content, measure::max_content_bytes));
  for (const measure::Bank bank : measure::all_banks)
    text += fmt::format("    {:<7} {}\n", to_string(bank), hex(event.digests, bank));
  return text;
}

} // namespace

std::string pcrs_text(const Prediction& prediction) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [pcr, value] : prediction.pcrs)
    for (const measure::Bank bank : measure::banks_of(prediction.profile))
      rows.push_back({std::to_string(pcr), measure::to_string(bank), hex(value, bank)});
  return fmt::format("profile {}\n", to_string(prediction.profile)) +
         table({{"PCR", true}, {"BANK"}, {"VALUE"}}, rows);
}

std::string prediction_text(const Prediction& prediction) {
  std::string text;
  std::size_t number = 0;
  for (const measure::Event& event : prediction.events)
    text += event_text(++number, event);
  return text + pcrs_text(prediction);
}

Json pcrs_json(const Prediction& prediction) {
  Json banks = Json::object();
  for (const measure::Bank bank : measure::banks_of(prediction.profile))
    for (const auto& [pcr, value] : prediction.pcrs)
      banks[measure::to_string(bank)][std::to_string(pcr)] = hex(value, bank);
  return banks;
}

Json prediction_json(const Prediction& prediction) {
  Json object = {{"profile", measure::to_string(prediction.profile)}};
  Json events = Json::array();
  for (const measure::Event& event : prediction.events) {
    if (event.type == measure::EventType::configuration)
      object["configuration"] = event.content;
    events.push_back(event_json(event));
  }
  object["events"] = events;
  object["pcrs"] = pcrs_json(prediction);
  return object;
}

Json cel_json(const Prediction& prediction) {
  Json log = Json::array();
  for (const measure::Extension& extension : prediction.extensions) {
    Json digests = Json::array();
    for (const measure::Bank bank : measure::banks_of(prediction.profile))
      digests.push_back(
          {{"hashAlg", measure::to_string(bank)}, {"digest", hex(extension.digests, bank)}});
    log.push_back({{"recnum", log.size()},
                   {"pcr", extension.pcr},
                   {"digests", digests},
                   {"content_type", "pcclient_std"},
                   {"content",
                    {{"event_type", measure::to_string(extension.log_type)},
                     {"event_data", to_hex(as_bytes(extension.log_text))}}}});
  }
  return log;
}

} // namespace ashlar::cli
