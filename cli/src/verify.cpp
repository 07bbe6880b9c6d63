// SPDX-License-Identifier: LGPL-2.1-or-later
// `ashlar verify`.
#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/evidence.hpp"
#include "ashlar/cli/format.hpp"
#include "ashlar/evidence/limits.hpp"

namespace ashlar::cli {

namespace {

using evidence::Link;
using evidence::LinkState;
using evidence::Verdict;

const char* mark_of(const Link& link) {
  switch (link.state) {
  case LinkState::ok:
    return "ok";
  case LinkState::failed:
    return "NOT ok";
  case LinkState::unchecked:
    return "unchecked";
  }
  return "NOT ok";
}

std::string text_of(const Link& link) {
  std::string text = fmt::format("{:<9}  {}: {}\n", mark_of(link), link.name, link.reason);
  if (!link.expected.empty() || !link.found.empty())
    text +=
        fmt::format("           expected {}\n           found    {}\n", link.expected, link.found);
  return text;
}

std::string text_of(const Verdict& verdict) {
  std::string text;
  for (const Link& link : verdict.links)
    text += text_of(link);
  if (!verdict.ok())
    return text + "NOT verified: do not believe this evidence\n";
  return text + fmt::format("verified: {}, uuid {}, serial {}, record {}\n", verdict.subject->name,
                            measure::to_string(verdict.subject->uuid), verdict.subject->serial,
                            to_hex(verdict.subject->record));
}

nlohmann::ordered_json json_of(const Verdict& verdict) {
  nlohmann::ordered_json links = nlohmann::ordered_json::array();
  for (const Link& link : verdict.links)
    links.push_back({{"name", link.name},
                     {"state", to_string(link.state)},
                     {"reason", link.reason},
                     {"expected", link.expected},
                     {"found", link.found}});
  nlohmann::ordered_json object = {{"ok", verdict.ok()}, {"reference", verdict.reference}};
  if (verdict.subject)
    object["guest"] = {{"name", verdict.subject->name},
                       {"uuid", measure::to_string(verdict.subject->uuid)},
                       {"serial", verdict.subject->serial},
                       {"domid", verdict.subject->domid},
                       {"record", to_hex(verdict.subject->record)}};
  object["links"] = links;
  return object;
}

Result<evidence::Trust> trust_of(const VerifyArguments& arguments) {
  evidence::Trust trust = TRY(read_reference_directory(arguments.directory));
  trust.nonce = TRY(measure::sha256_from_hex(arguments.nonce, "the nonce"));
  if (!arguments.record.empty())
    trust.record = TRY(measure::sha256_from_hex(arguments.record, "the record's digest"));
  if (!arguments.guest.empty())
    trust.reference_name = arguments.guest + ".manifest";
  trust.host_pcr = arguments.host_pcr;
  return trust;
}

} // namespace

Outcome<Answer> verify_bundle(const Arguments& arguments) {
  const Result<evidence::Trust> trust = trust_of(arguments.verify);
  if (!trust)
    return std::unexpected(Problem::usage(trust.error()));
  const std::string& path = arguments.verify.bundle;
  const Result<std::string> bundle = read_file(path, evidence::max_bundle_bytes);
  if (!bundle && bundle.error().code != ErrorCode::limit)
    return std::unexpected(Problem::usage(bundle.error()));
  if (!bundle)
    return std::unexpected(Problem(bundle.error()));
  const Verdict verdict = evidence::verify(as_bytes(*bundle), *trust);
  return Answer(arguments.json ? json_text(json_of(verdict)) + "\n" : text_of(verdict),
                verdict.ok() ? ExitCode::ok : ExitCode::failed);
}

} // namespace ashlar::cli
